
# ---- the picture ----
array column_name[4] = ['data', 'half noise', 'noise', 'samples']
unset key
unset xtics; unset ytics; unset grid
set border 15 linecolor rgb faint linewidth 1
set xrange [-3:3]
set yrange [-3:3]
cloud(r, c) = column('row') == r && column('column') == c
set multiplot
do for [r=1:rows] {
  do for [c=1:4] {
    set lmargin at screen (text ? (c - 1) * 0.25 + 0.01 : (10.0 + (c - 1) * side + 3) / width)
    set rmargin at screen (text ? c * 0.25 - 0.01 : (10.0 + c * side - 3) / width)
    set tmargin at screen (text ? 1 - (r - 1.0) / rows - 3.0 / height : 1 - (26.0 + (r - 1) * (side + (narrow ? 26 : 34)) + (narrow ? 20 : 26)) / height)
    set bmargin at screen (text ? 1 - (r + 0.0) / rows + 1.0 / height : 1 - (26.0 + (r - 1) * (side + (narrow ? 26 : 34)) + (narrow ? 20 : 26) + side - 6) / height)
    if (r == 1 && !text) { set label 1 column_name[c] at graph 0.5, screen 1 - 14.0 / height center textcolor rgb ink noenhanced } else { unset label 1 }
    if (c == 1) { set label 2 row_name[r] at graph 0, graph 1 offset character 0.2,0.6 left textcolor rgb muted noenhanced } else { unset label 2 }
    plot data using (cloud(r, c) ? column('x') : NaN):(column('y')) with points pointtype 7 pointsize (narrow ? 0.16 : 0.26) linecolor rgb colour[c == 4 ? 2 : 1]
  }
}
unset multiplot
