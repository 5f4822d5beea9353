
# ---- the picture ----
in(p, s) = column('panel') == p && column('series') == s
# Time 0 has no place on a logarithmic axis.
shown(name) = xlog && column(name) <= 0 ? NaN : column(name)
# Below the axis' end, zero on a logarithmic axis: along the edge.
clamp(v) = ylog && v < ylow ? ylow : v
top = text ? 0.98 : 1 - (22.0 * legend_rows + 8) / height
set key noautotitle inside vertical right bottom
if (!text) unset key
do for [s=1:text || named < 2 ? 0 : named] {
  u = 8 + ((s - 1) % legend_columns) * (width - 16.0) / legend_columns
  v = 1 - (14.0 + 22 * ((s - 1) / legend_columns)) / height
  set arrow from screen u / width, screen v to screen (u + 30) / width, screen v nohead linewidth 2.4 dashtype series_dash[s] linecolor rgb colour[series_colour[s]]
  set label series_name[s] at screen (u + 38) / width, screen v left textcolor rgb ink noenhanced
}
if (xlog) { set logscale x }
if (ylog) { set logscale y }
set xrange [xlow:xhigh]
set yrange [ylow:yhigh]
if (xlog && (columns > 1 || narrow) && log10(xhigh / xlow) > 4) { set xtics 100 }
set format x (text && xformat[1:2] eq '10' ? '1e%T' : xformat)
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
  set format y (c > 0 && !text ? '' : text && yformat[1:2] eq '10' ? '1e%T' : yformat)
  if (panels > 1) { set title panel_name[p] offset 0,(text ? 0 : -0.6) }
  set xlabel (p + columns > panels ? xlabel : '') offset 0,(text ? 0 : 0.6)
  set ylabel (c == 0 ? ylabel : '')
  if (level == level) { set arrow 99 from graph 0, first level to graph 1, first level nohead dashtype 3 linewidth 1.4 linecolor rgb muted }
  plot for [s=1:text ? 0 : series] data using (in(p, s) ? shown(xcolumn) : NaN):(clamp(column('p10'))):(clamp(column('p90'))) with filledcurves linecolor rgb colour[series_colour[s]] fillstyle transparent solid 0.14 noborder, \
       for [s=1:series] data using (in(p, s) ? shown(xcolumn) : NaN):(clamp(column('median'))) with lines linewidth 2.4 dashtype series_dash[s] linecolor rgb colour[series_colour[s]] title series_name[s]
  if (p == 1) { unset arrow; unset label; unset key }
}
unset multiplot
