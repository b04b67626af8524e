// Numbers as a viewer reads them.

/** 1:02.3, with hours if needed. */
export function clock(seconds) {
  const tenths = Math.max(0, Math.floor(seconds * 10 + 1e-6)), minutes = Math.floor(tenths / 600);
  const pair = (number) => String(number).padStart(2, "0");
  const rest = `${pair(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${pair(minutes % 60)}:${rest}`;
}

/** Three digits and a prefix: 12.3 kb, 1.23 Mb. */
export function short(number, unit) {
  const power = Math.min(3, Math.max(0, Math.floor(Math.log10(Math.max(1, number)) / 3)));
  const value = number / 1000 ** power;
  return `${power ? value.toPrecision(value >= 100 ? 3 : value >= 10 ? 3 : 2) : Math.round(value)} ${["", "k", "M", "G"][power]}${unit}`;
}
