"""The primitives, each a record on one screen: formula, spec rule, reference, derivative, samples.

In the order in which they build on each other: `rules` (shared spec rules), `batched` (what the
rules of batching share), `positions` (what an index means), `compare`, `elementwise`, `special`,
`transcendental`, `gamma`, `incomplete_gamma`, `bessel`, `arithmetic`, `logic`, `reduce`, `norms`,
`shape`, `index`, `select`, `rearrange`, `diagonals`, `sets`, `labels`, `order`, `scan`,
`statistics`, `contract`, `products`, `decompose`, `matrices`, `window` (what the next two share),
`convolution`, `pooling`, `fused`, `normalization`, `attention`, `ctc`, `step_by_step` (recurrences
by other ops), `recurrent`, `update`, `samplers` (random numbers by rejection), `random`, `draws`,
`systems` (of equations), `fills`, `backward`, `collectives`; `creation`, which makes tensors from
numbers; last `signals`.
"""
