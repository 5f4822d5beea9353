
# ---- the picture ----
# Wide: names left of the bars; narrow: above them.
left = text ? longest + 3.0 : narrow ? 16.0 : 7.4 * longest + 24
left = !text && left > 0.55 * width ? 0.55 * width : left
set lmargin at screen left / width
set rmargin at screen 1 - (text ? 3.0 : narrow ? 24.0 : 30.0) / width
set tmargin at screen 1 - (text ? 1.0 : 6.0) / height
set bmargin at screen (text ? 4.0 : 60.0) / height
unset key
unset grid
if (!text) set grid xtics linetype 1 linecolor rgb faint linewidth 1
set border (narrow ? 1 : 3)
set xlabel xlabel offset 0,0.6
set xrange [xlow:dots ? xhigh : xhigh + 0.14 * (xhigh - xlow)]
if (xlog) set logscale x
# As many numbers as have room.
raw = (xhigh - xlow) * (text ? 10.0 : 64.0) / (width * (1 - left / width) - (text ? 3 : 30))
power = xlog ? 1 : 10 ** floor(log10(raw))
if (!xlog) set xtics power * (raw <= power ? 1 : raw <= 2 * power ? 2 : raw <= 5 * power ? 5 : 10)
set format x (text && xformat[1:2] eq '10' ? '1e%T' : xformat)
set yrange [-bars - 0.6:-0.4]
set ytics scale 0 textcolor rgb ink
set ytics ('' 0)
do for [b=1:bars] {
  if (narrow) { set label bar_name[b] at graph 0, first -b + 0.42 offset 0.3,0 left textcolor rgb ink noenhanced font (7.4 * longest > width - 30 ? ',12' : ',14') front }
  if (!narrow) { set ytics add (bar_name[b] -b) }
}
set ytics noenhanced
half = narrow ? 0.22 : 0.3
drop = narrow ? 0.12 : 0
clamp(v) = (v > xlow ? v : xlow)
beside(v) = (v > 0 ? v : 0)
shade(b) = colour[column('colour')]
if (dots) {
  plot for [c=1:8] data using (column('colour') == c ? clamp(column('most')) : NaN):(-column('bar') - drop):(xlow):(clamp(column('most'))):(-column('bar') - drop):(-column('bar') - drop) with boxxyerror linecolor rgb colour[c] linewidth 2, \
       for [c=1:8] data using (column('colour') == c ? clamp(column('most')) : NaN):(-column('bar') - drop) with points pointtype 7 pointsize (text ? 1 : 1.1) linecolor rgb colour[c]
} else {
  plot for [c=1:8] data using (column('colour') == c ? column('mean') / 2 : NaN):(-column('bar') - drop):(0):(column('mean')):(-column('bar') - drop - half):(-column('bar') - drop + half) with boxxyerror linecolor rgb colour[c] fillstyle transparent solid 0.75 noborder, \
       data using (column('mean')):(-column('bar') - drop):(column('low')):(column('high')) with xerrorbars pointtype 7 pointsize (text ? 1 : 0.5) linewidth 2 linecolor rgb ink, \
       data using (beside(column('high') == column('high') ? column('high') : column('mean'))):(-column('bar') - drop):(sprintf('%.3f', column('mean'))) with labels left offset 0.8,0 textcolor rgb ink
}
