"""The records on the public face, as a type checker should see them.

Mypy takes each for the class that it is written as: it does not look at what a decorator makes of a
class. Called, a record gives Any: a tensor, or a tuple of them. No module stands behind this stub.
"""

from chainrule.primitive import Primitive

_record: Primitive
abs = acos = acosh = add = all = all_finite = amax = amin = any = arctan = argmax = argmin = _record
argsort = asin = asinh = astype = atan2 = atanh = bitwise_and = bitwise_left_shift = _record
bitwise_not = bitwise_or = bitwise_right_shift = bitwise_xor = cat = ceil = clone = cos = _record
cosh = cumsum = digamma = einsum = eq = erf = erfc = erfinv = exp = exp2 = expand = expm1 = _record
flip = floor = floor_divide = fmod = gather = gcd = ge = gt = hypot = isfinite = isinf = _record
isnan = lcm = le = lgamma = log = log10 = log1p = log2 = log_softmax = logaddexp = _record
logaddexp2 = logsumexp = lt = maximum = mean = minimum = mul = ne = neg = normal_cdf = pad = _record
permute = polygamma = prod = relu = remainder = reshape = roll = round = rsqrt = _record
scatter_add = sigmoid = sign = signbit = sin = sinh = softmax = sqrt = square = sub = sum = _record
tan = tanh = tril = triu = trunc = var = where = _record
