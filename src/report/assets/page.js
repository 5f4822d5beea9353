(function () {
  "use strict";
  var root = document.documentElement, button = document.getElementById("theme"), themes = ["system", "light", "dark"];
  function stored() { try { return localStorage.getItem("tiebreak-theme") || "system"; } catch (refused) { return "system"; } }
  function show(theme) {
    if (theme === "system") root.removeAttribute("data-theme"); else root.setAttribute("data-theme", theme);
    button.textContent = "Theme: " + theme;
  }
  var now = themes.indexOf(stored()) < 0 ? "system" : stored();
  button.hidden = false;
  button.addEventListener("click", function () {
    now = themes[(themes.indexOf(now) + 1) % themes.length];
    try { localStorage.setItem("tiebreak-theme", now); } catch (refused) { /* a file without storage: for this visit */ }
    show(now);
  });
  show(now);
  /* Data and scripts travel packed; where the browser can unpack them they arrive as what they are. */
  document.addEventListener("click", function (event) {
    var link = event.target.closest && event.target.closest("a.download");
    if (!link || !window.DecompressionStream || !/\.gz$/.test(link.download)) return;
    event.preventDefault();
    var text = atob(link.href.slice(link.href.indexOf(",") + 1)), bytes = new Uint8Array(text.length);
    for (var i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    new Response(stream).blob().then(function (plain) {
      var copy = document.createElement("a");
      copy.href = URL.createObjectURL(plain);
      copy.download = link.download.slice(0, -3);
      copy.click();
      setTimeout(function () { URL.revokeObjectURL(copy.href); }, 60000);
    });
  });
  var pages = document.querySelectorAll("main > .page"), links = document.querySelectorAll("nav.papers a");
  function turnTo(target) {
    var page = target && target.closest(".page");
    if (!page && (!target || !target.closest("#methods"))) page = pages[0];
    pages.forEach(function (one) { one.hidden = one !== page; });
    links.forEach(function (link) {
      var here = page ? link.hash === "#" + page.id : link.hash === "#methods";
      if (here) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
    });
  }
  function openTarget() {
    var target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    var hidden = target && target.closest("[hidden]");
    if (pages.length) turnTo(target);
    for (var node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (hidden) target.scrollIntoView();
  }
  window.addEventListener("hashchange", openTarget);
  openTarget();
})();
