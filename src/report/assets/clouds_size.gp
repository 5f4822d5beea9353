
# ---- rows of four clouds: how large ----
side = text ? 0 : (width - 20.0) / 4
if (!exists("height")) height = (text ? 24 * rows : rows * (side + (narrow ? 26 : 34)) + 26)
