"""The records on the public face, as a type checker should see them.

Mypy takes each for the class that it is written as: it does not look at what a decorator makes of a
class. Called, a record gives Any: a tensor, or a tuple of them. No module stands behind this stub.
"""

from chainrule.primitive import Primitive

_record: Primitive
abs = acos = acosh = add = all = all_finite = amax = amin = any = arctan = argmax = argmin = _record
argsort = asin = asinh = astype = atan2 = atanh = bitwise_and = bitwise_left_shift = _record
bitwise_not = bitwise_or = bitwise_right_shift = bitwise_xor = cat = ceil = clone = cos = _record
cosh = cumprod = cumsum = digamma = einsum = eq = erf = erfc = erfinv = exp = exp2 = _record
expand = expm1 = flip = floor = floor_divide = fmod = gather = gcd = ge = gt = hypot = _record
isfinite = isinf = isnan = lcm = le = lgamma = log = log10 = log1p = log2 = log_softmax = _record
logaddexp = logaddexp2 = logcumsumexp = logsumexp = lt = maximum = mean = minimum = mul = _record
ne = neg = normal_cdf = pad = permute = polygamma = prod = relu = remainder = reshape = _record
roll = round = rsqrt = scatter_add = sigmoid = sign = signbit = sin = sinh = softmax = _record
sqrt = square = sub = sum = tan = tanh = tril = triu = trunc = var = where = _record
