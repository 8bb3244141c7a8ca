"use strict";
/* Outlines of regions are moved by pointer or arrow keys. Only the fields of the form are written:
   what is measured at the new place is the node's to say. Lengths are in mm, as in the pictures. */
(() => {
  const STEP_MM = 0.5;
  const LARGE_STEP_MM = 5;
  const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

  const form = document.querySelector("form[data-most-mm]");
  if (!form) return;
  const most = Number(form.dataset.mostMm);

  const rounded = (value) => Math.round(value * 10) / 10 || 0;
  const within = ([right, down]) => {
    const far = Math.hypot(right, down);
    // a tenth less, so that rounding does not lead beyond the limit
    const share = far > most ? (most - 0.1) / far : 1;
    return [rounded(right * share), rounded(down * share)];
  };

  const movable = (outline) => {
    const fields = ["right", "down"].map((way) => form.elements[`${way}.${outline.dataset.field}`]);
    const begin = outline.dataset.begin.split(" ").map(Number);
    const moved = () => fields.map((field) => Number(field.value) || 0);
    const show = () => {
      const [right, down] = moved();
      outline.setAttribute("transform", `translate(${right - begin[0]} ${down - begin[1]})`);
      outline.setAttribute("aria-label",
        `${outline.dataset.name}. ${form.dataset.moved} ${right}, ${down}. ${form.dataset.regionHelp}`);
    };
    const move = (to) => {
      within(to).forEach((value, way) => { fields[way].value = value === 0 ? "" : String(value); });
      show();
    };
    const place = (event) => {
      const inverse = outline.ownerSVGElement.getScreenCTM().inverse();
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(inverse);
      return [point.x, point.y];
    };

    outline.setAttribute("tabindex", "0");
    outline.setAttribute("role", "button");
    outline.classList.add("movable");
    fields.forEach((field) => field.addEventListener("input", show));
    outline.addEventListener("keydown", (event) => {
      const way = STEPS[event.key];
      if (!way || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const step = event.shiftKey ? LARGE_STEP_MM : STEP_MM;
      const [right, down] = moved();
      move([right + way[0] * step, down + way[1] * step]);
    });
    outline.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      outline.focus();
      outline.setPointerCapture(event.pointerId);
      const from = place(event);
      const before = moved();
      const drag = (now) => {
        const to = place(now);
        move([before[0] + to[0] - from[0], before[1] + to[1] - from[1]]);
      };
      const end = () => {
        outline.removeEventListener("pointermove", drag);
        outline.removeEventListener("pointerup", end);
        outline.removeEventListener("pointercancel", end);
      };
      outline.addEventListener("pointermove", drag);
      outline.addEventListener("pointerup", end);
      outline.addEventListener("pointercancel", end);
    });
    show();
  };
  form.querySelectorAll("polygon[data-field]").forEach(movable);
})();
