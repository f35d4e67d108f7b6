"""What a network costs before it exists: the ledger's rows and totals, memory, comparison. No torch here, no numpy."""

from striate.cost.account import Ledger, Row, Totals, ledger
from striate.cost.comparison import Comparison, Entry, compare
from striate.cost.training import Training

__all__ = ["Comparison", "Entry", "Ledger", "Row", "Totals", "Training", "compare", "ledger"]
