"""DQN: networks that see the last four frames of an Atari game, 84×84 grey, and give the value of each action.

`dqn_2013`: Mnih et al., Playing Atari with Deep Reinforcement Learning, arXiv 1312.5602, section 4.1.
`dqn_2015`: Mnih et al., Human-Level Control through Deep Reinforcement Learning, Nature 518, 2015, methods.
`classes` is the number of actions: 4 to 18 by the game, here 18, all that there are.
"""

from striate.blueprint import Conv, Linear, Relu, Seq

DQN = {  # filters, kernel, stride; then the width of the hidden layer
    "dqn_2013": ([(16, 8, 4), (32, 4, 2)], 256),
    "dqn_2015": ([(32, 8, 4), (64, 4, 2), (64, 3, 1)], 512),
}


def dqn(name: str, classes: int) -> Seq:
    """4×84×84 -> actions."""
    layers, hidden = DQN[name]
    convs = {f"conv{i}": Seq(conv=Conv(*layer), act=Relu) for i, layer in enumerate(layers, 1)}
    return Seq(**convs, hidden=Seq(fc=Linear(hidden), act=Relu), fc=Linear(classes))
