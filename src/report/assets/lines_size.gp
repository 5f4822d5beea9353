
# ---- panels of lines with bands: how large ----
columns = narrow || panels == 1 ? 1 : (panels == 2 || panels == 4 ? 2 : 3)
while (!text && columns > 1 && 7.4 * longest_panel > (width - 74.0) / columns - 20) { columns = columns - 1 }
rows = (panels + columns - 1) / columns
legend_columns = int((width - 16.0) / (7.6 * longest + 52))
legend_columns = legend_columns < 1 ? 1 : legend_columns > named ? named : legend_columns
legend_rows = text || named < 2 ? 0 : (named + legend_columns - 1) / legend_columns
if (!exists("height")) height = (text ? 24 * rows : 22 * legend_rows + 14 + rows * (columns == 1 ? (narrow ? 292 : 370) : 292))
