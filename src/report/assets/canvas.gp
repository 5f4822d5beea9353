
# ---- the terminal ----
if (kind eq 'svg') set terminal svg size width,height enhanced font 'sans-serif,14' rounded dashlength 0.6
if (kind eq 'png') set terminal pngcairo size 2*width,2*height enhanced font 'sans,10.5' fontscale 2 linewidth 2 pointscale 2 rounded dashlength 0.6
if (kind eq 'pdf') set terminal pdfcairo size width/100.0,height/100.0 enhanced font 'sans,10' rounded dashlength 0.6
if (text) set terminal dumb size width,height noenhanced
if (exists("output")) set output output
set border 3 linecolor rgb muted linewidth 1
set tics nomirror out scale 0.5 textcolor rgb muted
set xlabel textcolor rgb muted noenhanced
set ylabel textcolor rgb muted noenhanced
set title textcolor rgb ink noenhanced
set key textcolor rgb ink noenhanced
if (!text) set grid xtics ytics linetype 1 linecolor rgb faint linewidth 1
