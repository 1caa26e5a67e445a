"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  // ---- tables: sort by a click on a head; long ones start short ---------------------------
  const compare = (a, b) => {
    if (a === "" || b === "") return 0;
    const numbers = [Number(a), Number(b)];
    return numbers.some(Number.isNaN) ? a.localeCompare(b, document.documentElement.lang)
      : numbers[0] - numbers[1];
  };
  const key = (row, place) => {
    const cell = row.cells[place];
    return cell.dataset.v ?? cell.textContent;
  };
  const sort = (table, place, up) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a, place), key(b, place)];
      if ((x === "") !== (y === "")) return x === "" ? 1 : -1; // empty ones last, either way
      return up ? compare(x, y) : compare(y, x);
    });
    body.append(...rows);
  };
  for (const box of all(".table")) {
    const table = box.querySelector("table");
    const more = box.querySelector(".more");
    const short = Number(box.dataset.short);
    let open = !more;
    const fold = () => {
      [...table.tBodies[0].rows].forEach((row, i) => row.classList.toggle("extra", !open && i >= short));
      if (!more) return;
      more.textContent = open ? more.dataset.less : more.dataset.more;
      more.setAttribute("aria-expanded", String(open));
    };
    if (more) {
      more.hidden = false;
      more.addEventListener("click", () => { open = !open; fold(); });
      fold();
    }
    all("thead th", table).forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const up = was ? was === "descending" : !head.classList.contains("n");
      all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(table, place, up);
      fold();
    }));
  }

  // ---- charts: the label of the nearest mark, by pointer or by arrow keys -----------------
  const tip = document.querySelector(".tip");
  const near = 28; // pixels from a mark at which it still answers
  const marks = (drawing) => all('.role-mark [role="graphics-symbol"][aria-label]', drawing)
    // a line or area is labelled by its first value only; its unseen points answer for it
    .filter((mark) => !/^(line|area|trail)/.test(mark.getAttribute("aria-roledescription") ?? ""))
    .map((mark) => ({ mark, box: mark.getBoundingClientRect() }))
    .filter(({ box }) => box.width + box.height > 0);
  // how far a mark is: bars answer along their row or column, lines at the nearest date
  const distance = ({ mark, box }, x, y, isSeries) => {
    const dx = Math.max(box.left - x, 0, x - box.right);
    const dy = Math.max(box.top - y, 0, y - box.bottom);
    if (isSeries) return dx + dy / 50;
    return mark.closest(".mark-rect") ? Math.min(dx, dy) + Math.max(dx, dy) / 50 : Math.hypot(dx, dy);
  };
  const centre = (box, x, y) => Math.hypot((box.left + box.right) / 2 - x, (box.top + box.bottom) / 2 - y);
  let lit = null;
  const hide = () => {
    tip.hidden = true;
    if (lit) lit.classList.remove("lit");
    lit = null;
  };
  const tell = ({ mark, box }) => {
    if (lit !== mark) {
      hide();
      lit = mark;
      mark.classList.add("lit");
      tip.replaceChildren(...mark.getAttribute("aria-label").split("; ").map((part) => {
        const line = document.createElement("div");
        const cut = part.indexOf(": ");
        const name = document.createElement("span");
        name.textContent = cut > 0 ? part.slice(0, cut) : "";
        const value = document.createElement("b");
        value.textContent = cut > 0 ? part.slice(cut + 2) : part;
        line.append(name, value);
        return line;
      }));
    }
    tip.hidden = false;
    const own = tip.getBoundingClientRect();
    const wide = document.documentElement.clientWidth;
    const left = Math.min(Math.max((box.left + box.right - own.width) / 2, 8), wide - own.width - 8);
    const above = box.top - own.height - 10;
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(above > 60 ? above : box.bottom + 10) + scrollY}px`;
  };
  for (const drawing of all(".drawing")) {
    let found = [];
    let place = -1;
    const isSeries = Boolean(drawing.querySelector(".mark-line, .mark-area"));
    const look = () => { found = marks(drawing); };
    drawing.addEventListener("pointerenter", look);
    drawing.addEventListener("pointermove", (event) => {
      if (!found.length) look();
      const [x, y] = [event.clientX, event.clientY];
      const ranked = found
        .map((one) => ({ ...one, far: distance(one, x, y, isSeries), mid: centre(one.box, x, y) }))
        .filter((one) => one.far <= near)
        .sort((a, b) => a.far - b.far || a.mid - b.mid);
      if (ranked.length) tell(ranked[0]); else hide();
    });
    drawing.addEventListener("pointerleave", hide);
    drawing.addEventListener("focus", () => { look(); place = -1; });
    drawing.addEventListener("blur", hide);
    drawing.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      look();
      if (!step || !found.length) return;
      event.preventDefault();
      place = (Math.max(place, step > 0 ? -1 : 0) + step + found.length) % found.length;
      tell(found[place]);
    });
  }
  addEventListener("scroll", hide, { passive: true });

  // ---- contents: folded on a narrow page, and where the reader is --------------------------
  const toc = document.querySelector(".toc details");
  const roomy = matchMedia("(min-width: 1100px)");
  if (toc) {
    const fit = () => { toc.open = roomy.matches; };
    fit();
    roomy.addEventListener("change", fit);
    const links = new Map(all("a", toc).map((a) => [decodeURIComponent(a.hash.slice(1)), a]));
    const heads = all("article h2[id], article h3[id]").filter((head) => links.has(head.id));
    const mark = () => {
      const passed = heads.filter((head) => head.getBoundingClientRect().top < 160);
      links.forEach((a) => a.removeAttribute("aria-current"));
      const now = passed.at(-1);
      if (now) links.get(now.id).setAttribute("aria-current", "true");
    };
    addEventListener("scroll", mark, { passive: true });
    mark();
  }
  const here = document.querySelector(".pages [aria-current]");
  if (here) {
    const list = here.closest(".pages");
    list.scrollLeft = here.offsetLeft - (list.clientWidth - here.offsetWidth) / 2;
  }

  // ---- paper: everything that is folded is opened, and folded again afterwards -------------
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));
})();
