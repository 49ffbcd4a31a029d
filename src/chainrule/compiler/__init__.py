"""From functions to executables: capture → graph → passes → plan → executable.

`capture` runs a function on specs and returns a `Trace`, whose `Graph` is optimized by `passes`.
`lowering` turns the equations into steps, `memory` assigns memory to their results, and both make a
`Plan`. An `Executable` is a plan that is bound to state and guards. A `Compiled` function holds its
executables.
"""

from chainrule.compiler.compiled import Compiled as Compiled
from chainrule.compiler.compiled import compile as compile
from chainrule.compiler.trace import Trace as Trace
from chainrule.compiler.trace import trace as trace
