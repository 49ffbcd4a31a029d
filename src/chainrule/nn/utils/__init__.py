"""Utilities of models: sequences of several lengths."""

from chainrule.nn.utils import rnn as rnn
