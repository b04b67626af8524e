// exp, log, sigmoid, GELU and softplus of V, a vector of float or one float, as multiplications,
// additions, divisions and selections (docs/spec/exact-arithmetic.md). Included once for each kind
// of V, after `mul`, `add`, `sub`, `div`, `pick`, `all`, `bits` and `from_bits` of that kind.

// A finite number of at most kLimit; a NaN becomes kLimit.
GV_FUNCTION V limited(V x) {
  const V below = pick(x < all(kLimit), x, all(kLimit));
  return pick(below > all(-kLimit), below, all(-kLimit));
}

// x * y + c, rounded twice.
GV_FUNCTION V step(V x, V y, float c) { return add(mul(x, y), all(c)); }

GV_FUNCTION V exponential(V x) {
  const V raised = pick(x > all(kExpLow), x, all(kExpLow));
  const V y = pick(raised < all(kExpHigh), raised, all(kExpHigh));
  const V shifted = step(y, all(kLog2e), kRounder);
  const V n = sub(shifted, all(kRounder));  // y / ln 2, rounded to an integer
  const V r = sub(sub(y, mul(n, all(kLn2High))), mul(n, all(kLn2Low)));
  V p = all(1.0f / 720);
  p = step(p, r, 1.0f / 120);
  p = step(p, r, 1.0f / 24);
  p = step(p, r, 1.0f / 6);
  p = step(p, r, 0.5f);
  p = step(p, r, 1);
  p = step(p, r, 1);
  // The low bits of `shifted` are n: add it to the exponent.
  return pick(x >= all(kExpLow), from_bits(bits(p) + (bits(shifted) << 23)), all(0));
}

GV_FUNCTION V logarithm(V x) {
  const V raised = pick(x > all(kLogLow), x, all(kLogLow));
  const V y = pick(raised < all(kLogHigh), raised, all(kLogHigh));
  // y = 2^n * m, m between sqrt(1/2) and sqrt(2)
  const U exponent = (bits(y) + (kOneBits - kRootHalfBits)) >> 23;  // n + 127
  const V m = from_bits(bits(y) - ((exponent - 127) << 23));
  const V n = sub(from_bits(exponent + (kRounderBits - 127)), all(kRounder));
  const V s = div(sub(m, all(1)), add(m, all(1))), z = mul(s, s);
  V p = all(1.0f / 9);
  p = step(p, z, 1.0f / 7);
  p = step(p, z, 1.0f / 5);
  p = step(p, z, 1.0f / 3);
  p = step(p, z, 1);
  const V log_m = mul(add(s, s), p);
  return add(mul(n, all(kLn2High)), add(mul(n, all(kLn2Low)), log_m));
}

// 1 / (1 + exp(-x)), without large exponentials.
GV_FUNCTION V sigmoid(V x) {
  const auto negative = x < all(0);
  const V e = exponential(pick(negative, x, sub(all(0), x)));
  return div(pick(negative, e, all(1)), add(all(1), e));
}

GV_FUNCTION V gelu(V x) {
  const V cube = mul(mul(x, x), x);
  const V u = mul(add(x, mul(cube, all(kGeluCube))), all(kGeluScale));
  return limited(mul(x, sigmoid(u)));
}

// log(1 + exp(x)) = max(x, 0) + 2 artanh(e / (2 + e)), e = exp(-|x|)
GV_FUNCTION V softplus(V x) {
  const V e = exponential(pick(x < all(0), x, sub(all(0), x)));
  const V s = div(e, add(all(2), e)), z = mul(s, s);
  V p = all(1.0f / 15);
  p = step(p, z, 1.0f / 13);
  p = step(p, z, 1.0f / 11);
  p = step(p, z, 1.0f / 9);
  p = step(p, z, 1.0f / 7);
  p = step(p, z, 1.0f / 5);
  p = step(p, z, 1.0f / 3);
  p = step(p, z, 1);
  return limited(add(pick(x > all(0), x, all(0)), mul(add(s, s), p)));
}
