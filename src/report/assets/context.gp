
# ---- the picture ----
top = text ? 0.98 : 1 - (22.0 * legend_rows + 8) / height
set key noautotitle inside vertical right center
if (!text) unset key
do for [s=1:text ? 0 : series] {
  u = 8 + ((s - 1) % legend_columns) * (width - 16.0) / legend_columns
  v = 1 - (14.0 + 22 * ((s - 1) / legend_columns)) / height
  set arrow from screen u / width, screen v to screen (u + 30) / width, screen v nohead linewidth 2.4 dashtype series_dash[s] linecolor rgb colour[series_colour[s]]
  set label series_name[s] at screen (u + 38) / width, screen v left textcolor rgb ink noenhanced
}
set border 11
set lmargin at screen (text ? 9.0 : 66.0) / width
set rmargin at screen 1 - (text ? 9.0 : 92.0) / width
set tmargin at screen top - (text ? 1.0 : 8.0) / height
set bmargin at screen (text ? 4.0 : 60.0) / height
if (xlog) { set logscale x }
set xrange [xlow:xhigh]
set yrange [-0.03:1.03]
set y2range [rlow:rhigh]
set ytics nomirror
set y2tics nomirror textcolor rgb muted
set format x (text && xformat[1:2] eq '10' ? '1e%T' : xformat)
set format y '%g'
set format y2 rformat
set xlabel xlabel offset 0,(text ? 0 : 0.6)
set ylabel 'in-context accuracy'
set y2label rlabel textcolor rgb muted noenhanced
of(s, r) = column('series') == s && series_right[s] == r ? column('x') : NaN
plot for [s=1:series] data using (of(s, 0)):(column('y')) axes x1y1 with lines linewidth 2.4 dashtype series_dash[s] linecolor rgb colour[series_colour[s]] title (series_right[s] ? '' : series_name[s]), \
     for [s=1:series] data using (of(s, 1)):(column('y')) axes x1y2 with lines linewidth 2.4 dashtype series_dash[s] linecolor rgb colour[series_colour[s]] title (series_right[s] ? series_name[s] : ''), \
     for [s=1:text ? 0 : series] data using (of(s, 0)):(column('y')):(column('low')):(column('high')) axes x1y1 with yerrorbars pointtype 7 pointsize 0.6 linewidth 1.4 linecolor rgb colour[series_colour[s]]
