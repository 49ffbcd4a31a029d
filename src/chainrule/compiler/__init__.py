"""From functions to programs: capture, check, passes, plan."""

from chainrule.compiler.capture import Trace as Trace
from chainrule.compiler.capture import trace as trace
from chainrule.compiler.program import Compiled as Compiled
from chainrule.compiler.program import compile as compile
