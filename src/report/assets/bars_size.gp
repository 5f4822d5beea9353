
# ---- bars with intervals: how large ----
if (!exists("height")) height = (text ? 2 * bars + 7 : 74 + (narrow ? 52 : 36) * bars)
