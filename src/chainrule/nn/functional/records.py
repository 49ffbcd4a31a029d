"""The primitives that functions of layers and losses call, and those that are such a function.

A record is written as a class, and a type checker takes it for one; here it gets its true type.
"""

from typing import cast

from chainrule.ops import attention as attention_ops
from chainrule.ops import (
    backward,
    compare,
    contract,
    elementwise,
    fused,
    labels,
    pooling,
    shape,
    special,
)
from chainrule.ops import convolution as convolution_ops
from chainrule.primitive import Primitive

where = cast(Primitive, compare.where)
linear = cast(Primitive, contract.linear)
softmax = cast(Primitive, fused.softmax)
log_softmax = cast(Primitive, fused.log_softmax)
softmax_cross_entropy = cast(Primitive, fused.softmax_cross_entropy)
binary_cross_entropy = cast(Primitive, fused.binary_cross_entropy)
binary_cross_entropy_with_logits = cast(Primitive, fused.binary_cross_entropy_with_logits)
normalize = cast(Primitive, fused.normalize)
class_labels = cast(Primitive, labels.class_labels)
embedding = cast(Primitive, labels.embedding)
one_hot = cast(Primitive, labels.one_hot)
cat = cast(Primitive, shape.cat)
pad = cast(Primitive, shape.pad)
tanh = cast(Primitive, elementwise.tanh)
expm1 = cast(Primitive, elementwise.expm1)
abs = cast(Primitive, elementwise.abs)
clamp = compare.clamp
relu = cast(Primitive, special.relu)
sigmoid = cast(Primitive, special.sigmoid)
silu = cast(Primitive, special.silu)
leaky_relu = cast(Primitive, special.leaky_relu)
elu = cast(Primitive, special.elu)
gelu = cast(Primitive, special.gelu)
gelu_tanh = cast(Primitive, special.gelu_tanh)
softplus = cast(Primitive, special.softplus)
convolution = cast(Primitive, convolution_ops.convolution)
convolution_input = cast(Primitive, convolution_ops.convolution_input)
max_pool = cast(Primitive, pooling.max_pool)
avg_pool = cast(Primitive, pooling.avg_pool)
attention = cast(Primitive, attention_ops.attention)
gradients_through = cast(Primitive, backward.gradients_through)
