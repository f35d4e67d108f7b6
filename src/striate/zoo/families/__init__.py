"""One family of networks a file: its paper's table on top, a dozen lines of functions below, every difference written
down.
"""
