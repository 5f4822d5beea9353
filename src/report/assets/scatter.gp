
# ---- the picture ----
set key noautotitle inside vertical right top
if (!text) unset key
top = text ? 0.98 : 1 - (22.0 * legend_rows + 12) / height
do for [s=1:text || series < 2 ? 0 : series] {
  u = 8 + ((s - 1) % legend_columns) * (width - 16.0) / legend_columns
  v = 1 - (14.0 + 22 * ((s - 1) / legend_columns)) / height
  set label series_name[s] at screen (u + 22) / width, screen v left textcolor rgb ink noenhanced point pointtype series_mark[s] pointsize 0.9 linecolor rgb colour[series_colour[s]] offset 0.8,0
}
set lmargin at screen (text ? 9.0 : 74.0) / width
set rmargin at screen 1 - (text ? 3.0 : 20.0) / width
set tmargin at screen top
set bmargin at screen (text ? 4.0 : 60.0) / height
if (xlog) { set logscale x }
set xrange [xlow:xhigh]
set yrange [ylow:yhigh]
set format x (text && xformat[1:2] eq '10' ? '1e%T' : xformat)
set format y yformat
set xlabel xlabel offset 0,(text ? 0 : 0.6)
set ylabel ylabel
if (edge == edge && edge > xlow && edge < xhigh) { set arrow 99 from first edge, graph 0 to first edge, graph 1 nohead dashtype 3 linewidth 1.4 linecolor rgb muted }
clamp(v) = v < xlow ? xlow : v
plot for [s=1:series] data using (column('series') == s ? clamp(column('x')) : NaN):(column('y')) with points pointtype series_mark[s] pointsize (text ? 1 : 0.9) linewidth 2 linecolor rgb colour[series_colour[s]] title series_name[s]
