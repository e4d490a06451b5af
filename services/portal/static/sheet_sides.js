// What is seen along a line in a small photo, and in each part of it.
import { calmAt, ramp } from "./sheet_edges.js";

const STRAY = 2; // pixels by which a side may deviate from its line
const ALONG = 4; // gradients are averaged over twice this many pixels along a line, plus one
const BESIDE = [2.5, 5, 8]; // distances from a line at which the colours of its two sides are compared

// Contrasts, in levels of `planesOf`: of what is left of a printed frame; of a white desk and white paper.
const FAINT = 2;
const CLEAR = 3.5;

// Measures, from 0 to 1 for each pixel of the line that is inside of the photo (`SEEN`). `EDGE`: there is an edge;
// `CONTRAST`: the colours beside it differ; `SHARP`: they do so close to it, too, unlike those beside a shadow; `LIGHTER`:
// its higher side is lighter; `CALM_LOW`, `CALM_HIGH`: no edges near its lower, its higher side.
export const [SEEN, EDGE, CONTRAST, SHARP, LIGHTER, CALM_LOW, CALM_HIGH, MEASURES] = [0, 1, 2, 3, 4, 5, 6, 7];

// The line with running sums of the measures: `sums[to * MEASURES + EDGE] - sums[from * MEASURES + EDGE]`. Position 0 is
// `start` pixels before the foot of the perpendicular from the origin.
export function measured(line, maps, planes) {
  const start = Math.ceil(Math.hypot(maps[0].width, maps[0].height)) + 1;
  const made = { ...line, start, sums: new Float32Array((2 * start + 1) * MEASURES), begin: 0, end: 2 * start };
  while (made.begin < made.end && !isInside(made, made.begin, maps[0])) made.begin++;
  while (made.begin < made.end && !isInside(made, made.end - 1, maps[0])) made.end--;
  const edge = edgeAlong(made, maps);
  const values = new Float32Array(MEASURES);
  for (let at = made.begin; at < 2 * start; at++) {
    values.fill(0);
    if (at < made.end) measure(values, made, at, edge[at], maps[0], planes);
    for (let n = 0; n < MEASURES; n++) made.sums[(at + 1) * MEASURES + n] = made.sums[at * MEASURES + n] + values[n];
  }
  return made;
}

// The position of a point along the line.
export const positionOf = ({ cos, sin, start }, x, y) => Math.round(y * cos - x * sin) + start;

const xAt = ({ cos, sin, rho, start }, at, off = 0) => (rho + off) * cos - (at - start) * sin;
const yAt = ({ cos, sin, rho, start }, at, off = 0) => (rho + off) * sin + (at - start) * cos;

function isInside(line, at, { width, height }) {
  const [x, y] = [xAt(line, at), yAt(line, at)];
  return x >= 1 && y >= 1 && x < width - 2 && y < height - 2;
}

// The index of the pixel at this position along the line and this distance from it, or -1.
function pixelAt(line, at, off, { width, height }) {
  const x = Math.round(xAt(line, at, off));
  const y = Math.round(yAt(line, at, off));
  return x >= 0 && y >= 0 && x < width && y < height ? y * width + x : -1;
}

// The steepest mean gradient across the line within STRAY pixels of it, in any map.
function edgeAlong(line, maps) {
  const edge = new Float32Array(2 * line.start);
  const steps = new Float32Array(edge.length + 1); // running sums
  for (const map of maps) {
    for (let off = -STRAY; off <= STRAY; off++) {
      for (let at = line.begin; at < line.end; at++) {
        const pixel = pixelAt(line, at, off, map);
        steps[at + 1] = steps[at] + (pixel < 0 ? 0 : map.across[pixel] * line.cos + map.down[pixel] * line.sin);
      }
      for (let at = line.begin + ALONG; at < line.end - ALONG; at++) {
        const mean = Math.abs(steps[at + ALONG + 1] - steps[at - ALONG]) / (2 * ALONG + 1);
        edge[at] = Math.max(edge[at], ramp(mean, 0.5 * map.weak, 2.5 * map.weak));
      }
    }
  }
  return edge;
}

function measure(values, line, at, edge, map, planes) {
  values[SEEN] = 1;
  values[EDGE] = edge;
  compare(values, line, at, map, planes);
  for (const [name, sign] of [[CALM_LOW, -1], [CALM_HIGH, 1]]) {
    values[name] = calmAt(map, xAt(line, at), yAt(line, at), sign * line.cos, sign * line.sin);
  }
}

// Compares the colours at both sides of the line.
function compare(values, line, at, map, planes) {
  let [near, least, most, lighter] = [0, Infinity, 0, 0];
  for (const off of BESIDE) {
    const [from, to] = [pixelAt(line, at, -off, map), pixelAt(line, at, off, map)];
    if (from < 0 || to < 0) return void values.fill(0.5, CONTRAST, LIGHTER + 1); // unknown
    const size = Math.hypot(planes[0][to] - planes[0][from], planes[1][to] - planes[1][from], planes[2][to] - planes[2][from]);
    if (off === BESIDE[0]) near = size;
    if (off === BESIDE[1]) lighter = planes[0][to] - planes[0][from];
    [least, most] = [Math.min(least, size), Math.max(most, size)];
  }
  values[CONTRAST] = ramp(least, Math.max(map.weak, FAINT), Math.max(4 * map.weak, CLEAR));
  values[SHARP] = ramp(near / (most + map.weak / 2), 0.2, 0.8);
  values[LIGHTER] = ramp(lighter, -map.weak, map.weak);
}
