
# ---- the picture ----
in(p, s) = stringcolumn('what') eq 'path' && column('panel') == p && column('series') == s
reference(r) = stringcolumn('what') eq 'reference' && column('series') == r
top = text ? 0.98 : 1 - (22.0 * legend_rows + 8) / height
set key noautotitle inside vertical right bottom
if (!text) unset key
do for [s=1:text || series < 2 ? 0 : series] {
  u = 8 + ((s - 1) % legend_columns) * (width - 16.0) / legend_columns
  v = 1 - (14.0 + 22 * ((s - 1) / legend_columns)) / height
  set arrow from screen u / width, screen v to screen (u + 30) / width, screen v nohead linewidth 3 linecolor rgb colour[series_colour[s]]
  set label series_name[s] at screen (u + 38) / width, screen v left textcolor rgb ink noenhanced
}
set xrange [xlow:xhigh]
set yrange [ylow:yhigh]
if (!text && equal) set size ratio -1
# Wide lines below narrow ones, so that paths on top of one another are all seen.
halo = series > 3 ? 7.0 / (series - 1) : 3.0
set multiplot
do for [p=1:panels] {
  c = (p - 1) % columns
  r = (p - 1) / columns
  w = (text ? 1.0 : (width - 74.0) / width) / columns
  h = top / rows
  left = text ? 0 : 74.0 / width
  set lmargin at screen left + c * w + (text ? 10.0 : 4.0) / width
  set rmargin at screen left + (c + 1) * w - (text ? 2.0 : 30.0) / width
  set tmargin at screen top - r * h - (text ? 2.0 : panels > 1 ? 28.0 : 8.0) / height
  set bmargin at screen top - (r + 1) * h + (text ? 4.0 : 60.0) / height
  if (panels > 1) { set title panel_name[p] offset 0,(text ? 0 : -0.6) }
  set format y (c > 0 && !text ? '' : '%g')
  set xlabel (p + columns > panels ? xlabel : '') offset 0,(text ? 0 : 0.6)
  set ylabel (c == 0 ? ylabel : '')
  if (p > 1) { unset label }
  do for [k=1:labels] {
    if (label_x[k] < 0) { set label label_name[k] at first label_x[k], first label_y[k] right textcolor rgb muted noenhanced front }
    if (label_x[k] >= 0) { set label label_name[k] at first label_x[k], first label_y[k] left textcolor rgb muted noenhanced front }
  }
  plot for [k=1:references] data using (reference(k) ? 0 : NaN):(0):(column('x')):(column('y')) with vectors nohead linewidth 1.4 dashtype 2 linecolor rgb muted, \
       for [k=1:references] data using (reference(k) ? column('x') : NaN):(column('y')) with points pointtype 7 pointsize 0.5 linecolor rgb muted, \
       for [s=1:series] data using (in(p, s) ? column('x') : NaN):(column('y')) with lines linewidth (text ? 1 : 2 + (series - s) * halo) linecolor rgb colour[series_colour[s]] title (text ? series_name[s] : ''), \
       for [s=1:series] data using (in(p, s) && column('t') == 0 ? column('x') : NaN):(column('y')) with points pointtype 7 pointsize 0.9 linecolor rgb ink
  if (p == 1) { unset arrow; unset key }
}
unset multiplot
