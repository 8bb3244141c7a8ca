// Arrow keys step through the slices of a study; without this file the links do.
document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, select, textarea, [contenteditable]");
  if (field || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const inside = event.target.closest("#picture");
  const up = event.key === "ArrowLeft" || (inside && event.key === "ArrowUp");
  const down = event.key === "ArrowRight" || (inside && event.key === "ArrowDown");
  if (!up && !down) return;
  const link = document.querySelector(up ? "#picture a[rel=prev]" : "#picture a[rel=next]");
  if (link) {
    event.preventDefault();
    link.click();
  }
});
