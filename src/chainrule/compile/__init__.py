"""Programs as graphs: capturing what a function computes."""

from chainrule.compile.capture import Trace as Trace
from chainrule.compile.capture import trace as trace
