
# ---- the picture ----
top = text ? 0.98 : 1 - (22.0 * legend_rows + 8) / height
set key noautotitle inside vertical right top
if (!text) unset key
do for [s=1:text ? 0 : series] {
  u = 8 + ((s - 1) % legend_columns) * (width - 16.0) / legend_columns
  v = 1 - (14.0 + 22 * ((s - 1) / legend_columns)) / height
  set arrow from screen u / width, screen v to screen (u + 30) / width, screen v nohead linewidth 2.4 dashtype series_dash[s] linecolor rgb colour[series_colour[s]]
  set label series_name[s] at screen (u + 38) / width, screen v left textcolor rgb ink noenhanced
}
set lmargin at screen (text ? 12.0 : 84.0) / width
set rmargin at screen 1 - (text ? 2.0 : 24.0) / width
set tmargin at screen top - (text ? 1.0 : 8.0) / height
set bmargin at screen (text ? 4.0 : 60.0) / height
set logscale xy
set xrange [xlow:xhigh]
set yrange [ylow:yhigh]
set format x (text && xformat[1:2] eq '10' ? '1e%T' : xformat)
set format y (text && yformat[1:2] eq '10' ? '1e%T' : yformat)
set xlabel size_label offset 0,(text ? 0 : 0.6)
set ylabel error_label
of(s, name) = column('series') == s ? column(name) : NaN
plot for [s=1:series] data using (of(s, 'size')):(column('value')) with lines linewidth 2.4 dashtype series_dash[s] linecolor rgb colour[series_colour[s]] title series_name[s], \
     for [s=1:text ? 0 : series] data using (of(s, 'size')):(column('value')):(column('p10')):(column('p90')) with yerrorbars pointtype 7 pointsize 0.7 linewidth 1.4 linecolor rgb colour[series_colour[s]]
