
# ---- paths in panels: how large ----
columns = narrow || panels == 1 ? 1 : (panels == 2 || panels == 4 ? 2 : 3)
while (!text && columns > 1 && 7.4 * longest_panel > (width - 74.0) / columns - 20) { columns = columns - 1 }
rows = (panels + columns - 1) / columns
legend_columns = int((width - 16.0) / (7.6 * longest + 52))
legend_columns = legend_columns < 1 ? 1 : legend_columns > series ? series : legend_columns
legend_rows = text || series < 2 ? 0 : (series + legend_columns - 1) / legend_columns
side = (width - 74.0) / columns - 22 > 420 ? 420 : (width - 74.0) / columns - 22
shape = (yhigh - ylow) / (xhigh - xlow)
tall = shape < 0.45 ? 0.45 : shape > 1.2 ? 1.2 : shape
if (!exists("height")) height = (text ? 30 * rows : 22 * legend_rows + 14 + rows * (side * tall + 96))
height = int(height)
