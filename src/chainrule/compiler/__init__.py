"""From functions to executables: capture → graph → passes → plan → executable.

`capture` runs a function on specs and gives a `Trace`, whose `Graph` the `passes` improve.
`lowering` turns its equations into steps, `memory` says where their results lie, and both make a
`Plan`. An `Executable` is a plan bound to state and guards; `Compiled` keeps those of one function.
"""

from chainrule.compiler.compiled import Compiled as Compiled
from chainrule.compiler.compiled import compile as compile
from chainrule.compiler.trace import Trace as Trace
from chainrule.compiler.trace import trace as trace
