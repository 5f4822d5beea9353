
# ---- how it is drawn: kind = svg, png, pdf or text; width and height in pixels (text: in characters) ----
reset
if (!exists("kind")) kind = 'png'
text = (kind eq 'text')
if (!exists("width")) width = (text ? 100 : 720)
narrow = (!text && width < 500)
folder = ''
do for [i=1:strlen(ARG0)] { folder = (ARG0[i:i] eq '/' ? ARG0[1:i] : folder) }
data = folder.file
set encoding utf8
set datafile separator comma
set datafile columnheaders
set minussign
