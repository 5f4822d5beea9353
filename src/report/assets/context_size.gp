
# ---- two axes: how large ----
legend_columns = int((width - 16.0) / (7.6 * longest + 52))
legend_columns = legend_columns < 1 ? 1 : legend_columns > series ? series : legend_columns
legend_rows = text ? 0 : (series + legend_columns - 1) / legend_columns
if (!exists("height")) height = (text ? 30 : 22 * legend_rows + 14 + 320)
