
# ---- points: how large ----
legend_columns = (narrow ? 1 : width / (7.4 * longest + 50))
legend_columns = legend_columns < 1 ? 1 : int(legend_columns)
legend_rows = (text || series < 2 ? 0 : (series + legend_columns - 1) / legend_columns)
if (!exists("height")) height = (text ? 26 : 370 + 22 * legend_rows)
