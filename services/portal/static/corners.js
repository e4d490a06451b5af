// Four handles on a preview, to set the corners of the sheet by finger, mouse or arrow keys.
const NAMES = ["左上角", "右上角", "右下角", "左下角"];
const STEP = 0.005; // share of the side for an arrow key; five times as much with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SVG = "http://www.w3.org/2000/svg";

const within = (share) => Math.min(1, Math.max(0, share));

// Puts the handles around `canvas`; `corners` are shares of its width and height, and change with the handles.
export function editCorners(canvas, corners) {
  const frame = Object.assign(document.createElement("div"), { className: "corners" });
  canvas.replaceWith(frame);
  const outline = document.createElementNS(SVG, "polygon");
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 1 1");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.append(outline);
  const handles = corners.map((_, number) => handleOf(frame, corners, number, () => place(handles, outline, corners)));
  frame.append(canvas, drawing, ...handles);
  place(handles, outline, corners);
  handles[0].focus({ preventScroll: true });
  return () => frame.replaceWith(canvas);
}

function place(handles, outline, corners) {
  outline.setAttribute("points", corners.map((corner) => corner.join(",")).join(" "));
  handles.forEach((handle, number) => {
    handle.style.left = `${corners[number][0] * 100}%`;
    handle.style.top = `${corners[number][1] * 100}%`;
  });
}

function handleOf(frame, corners, number, moved) {
  const handle = Object.assign(document.createElement("button"), { type: "button", className: "corner" });
  handle.setAttribute("aria-label", `纸张${NAMES[number]}，用方向键移动`);
  const move = (x, y) => {
    corners[number] = [within(x), within(y)];
    moved();
  };
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const box = frame.getBoundingClientRect();
    move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  handle.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const step = STEP * (event.shiftKey ? 5 : 1);
    move(corners[number][0] + arrow[0] * step, corners[number][1] + arrow[1] * step);
  });
  return handle;
}
