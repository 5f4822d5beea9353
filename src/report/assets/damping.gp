
# ---- the picture ----
in(p, s) = column('panel') == p && column('series') == s
shown(name) = xlog && column(name) <= 0 ? NaN : column(name)
top = text ? 0.98 : 1 - (22.0 * legend_rows + 8) / height
set key noautotitle inside vertical right top
if (!text) unset key
do for [s=1:text ? 0 : series] {
  u = 8 + ((s - 1) % legend_columns) * (width - 16.0) / legend_columns
  v = 1 - (14.0 + 22 * ((s - 1) / legend_columns)) / height
  set arrow from screen u / width, screen v to screen (u + 30) / width, screen v nohead linewidth 2.4 linecolor rgb colour[series_colour[s]]
  set label series_name[s] at screen (u + 38) / width, screen v left textcolor rgb ink noenhanced
}
set multiplot
half = 0.5 * width
set lmargin at screen (text ? 10.0 : 76.0) / width
set rmargin at screen (columns == 2 ? half - 18 : width - (text ? 2.0 : 18.0)) / width
set tmargin at screen top - (text ? 1.0 : 8.0) / height
set bmargin at screen (columns == 2 ? 0 : top / 2) + (text ? 4.0 : 60.0) / height
if (!text) { set ytics 0,15,90 }
set yrange [0:90]
if (xlog) { set logscale x }
set xrange [xlow:xhigh]
set format x (text && xformat[1:2] eq '10' ? '1e%T' : xformat)
set xlabel xlabel offset 0,(text ? 0 : 0.6)
set ylabel ylabel
plot for [s=1:text ? 0 : series] data using (in(1, s) ? shown(xcolumn) : NaN):(column('p10')):(column('p90')) with filledcurves linecolor rgb colour[series_colour[s]] fillstyle transparent solid 0.14 noborder, \
     for [s=1:series] data using (in(1, s) ? shown(xcolumn) : NaN):(column('median')) with lines linewidth 2.4 linecolor rgb colour[series_colour[s]] title series_name[s]
unset arrow; unset label; unset key; unset logscale
if (points > 0) {
  set lmargin at screen (columns == 2 ? half + 66 : text ? 10.0 : 76.0) / width
  set rmargin at screen 1 - (text ? 2.0 : 24.0) / width
  set tmargin at screen (columns == 2 ? top : top / 2) - (text ? 1.0 : 8.0) / height
  set bmargin at screen (text ? 4.0 : 60.0) / height
  set ytics autofreq
  set autoscale
  set offsets graph 0.08, graph 0.08, graph 0.08, graph 0.08
  set format x '%g'
  set xlabel 'log 1/λ'
  set ylabel 'smallest margin half-way'
  point(s, name) = in(2, s) ? column(name) : NaN
  fitted(x) = intercept + slope * x
  if (slope == slope) { set label sprintf('slope %.3f', slope) at graph 0.05, graph 0.92 left textcolor rgb muted }
  plot [*:*] data using (column('panel') == 2 ? -log(column('damping')) : NaN):(column('panel') == 2 ? fitted(-log(column('damping'))) : NaN) with lines dashtype 2 linewidth 1.6 linecolor rgb muted, \
       for [s=1:series] data using (in(2, s) ? -log(column('damping')) : NaN):(point(s, 'median')):(point(s, 'p10')):(point(s, 'p90')) with yerrorbars pointtype 7 pointsize 0.9 linewidth 1.6 linecolor rgb colour[series_colour[s]]
}
unset multiplot
