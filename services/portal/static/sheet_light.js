// Even light for a straightened sheet: an image { data, width, height } in RGBA.

const CELLS = 56; // along the long side: in each the colour of the paper is measured
const PAPER = 0.85; // share of a cell's pixels that are darker than its paper
const WHITE = 250; // what paper becomes
const MOST = 3; // by which a channel is brightened at most
const DARKEST = 88; // brightness to which a dark cover is brightened
const TINT = 0.14; // by which the colour of paper in another light may differ
const SHADE = 0.4; // the darkest shadow, as share of the paper's usual brightness
const COLOURED = 0.3; // saturation from which a sheet is a coloured one

// The image with its paper white in any light; stamps keep their colour. A sheet in one colour (a cover) keeps it, but gets
// even light, and is brightened if it is dark.
export function whiten(image) {
  const grid = gridOf(image);
  const usual = [0, 1, 2].map((n) => middleOf(grid.colours.map((colour) => colour[n])));
  const coloured = 1 - Math.min(...usual) / Math.max(...usual) > COLOURED;
  const paper = grid.colours.map((colour) => (isPaper(colour, usual) ? colour : null));
  const light = smooth(grid, smooth(grid, filled(grid, paper, usual)));
  if (!coloured) return lit(image, grid, light.map((colour) => colour.map((value) => gainTo(WHITE, value))));
  const brighter = Math.max(1, DARKEST / (0.3 * usual[0] + 0.6 * usual[1] + 0.1 * usual[2]));
  const gains = light.map((colour) => meanOf(colour.map((value, n) => gainTo(brighter * usual[n], value))));
  return lit(image, grid, gains.map((gain) => [gain, gain, gain]));
}

const gainTo = (target, value) => Math.min(MOST, target / Math.max(1, value));
const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// The colour of the paper in each cell: a high percentile of each channel.
function gridOf(image) {
  const size = Math.max(8, Math.ceil(Math.max(image.width, image.height) / CELLS));
  const [columns, rows] = [Math.ceil(image.width / size), Math.ceil(image.height / size)];
  const colours = Array.from({ length: columns * rows }, (_, at) => {
    return paperIn(image, (at % columns) * size, Math.floor(at / columns) * size, size);
  });
  return { size, columns, rows, colours };
}

function paperIn({ data, width, height }, left, top, size) {
  const [red, green, blue] = [0, 1, 2].map(() => new Uint16Array(256));
  const [right, bottom] = [Math.min(width, left + size), Math.min(height, top + size)];
  for (let y = top; y < bottom; y++) {
    for (let at = 4 * (y * width + left); at < 4 * (y * width + right); at += 4) {
      red[data[at]]++;
      green[data[at + 1]]++;
      blue[data[at + 2]]++;
    }
  }
  return [red, green, blue].map((counts) => levelOf(counts, PAPER * (right - left) * (bottom - top)));
}

function levelOf(counts, wanted) {
  let [level, seen] = [0, counts[0]];
  while (seen < wanted) seen += counts[++level];
  return level;
}

const middleOf = (values) => Float32Array.from(values).sort()[values.length >> 1];

// Whether a cell is paper in light or shade, not a photo or a stamp.
function isPaper(colour, usual) {
  const shares = colour.map((value, n) => value / Math.max(1, usual[n]));
  const mean = (shares[0] + shares[1] + shares[2]) / 3;
  return mean > SHADE && shares.every((share) => Math.abs(share / mean - 1) < TINT);
}

// Cells without a colour get the mean of their neighbours, from the known ones inwards.
function filled(grid, known, usual) {
  if (!known.some(Boolean)) return known.map(() => usual);
  let colours = known;
  while (colours.includes(null)) colours = colours.map((colour, at) => colour ?? meanAround(grid, colours, at));
  return colours;
}

const smooth = (grid, colours) => colours.map((_, at) => meanAround(grid, colours, at));

function meanAround({ columns, rows }, colours, at) {
  const [column, row] = [at % columns, Math.floor(at / columns)];
  const near = [];
  for (let y = Math.max(0, row - 1); y <= Math.min(rows - 1, row + 1); y++) {
    for (let x = Math.max(0, column - 1); x <= Math.min(columns - 1, column + 1); x++) {
      if (colours[y * columns + x]) near.push(colours[y * columns + x]);
    }
  }
  return near.length ? [0, 1, 2].map((n) => meanOf(near.map((colour) => colour[n]))) : null;
}

// The image multiplied by gains that are interpolated between the cells.
function lit({ data, width, height }, { size, columns, rows }, gains) {
  const made = new Uint8ClampedArray(data.length);
  const plane = Float32Array.from(gains.flat());
  const [lefts, shares] = placesOf(width, size, columns);
  const [tops, parts] = placesOf(height, size, rows);
  for (let y = 0, at = 0; y < height; y++) {
    const below = tops[y] < rows - 1 ? 3 * columns : 0;
    for (let x = 0; x < width; x++, at += 4) {
      const cell = 3 * (tops[y] * columns + lefts[x]);
      const next = lefts[x] < columns - 1 ? 3 : 0;
      for (let n = 0; n < 3; n++) {
        const upper = plane[cell + n] + (plane[cell + next + n] - plane[cell + n]) * shares[x];
        const lower = plane[cell + below + n] + (plane[cell + below + next + n] - plane[cell + below + n]) * shares[x];
        made[at + n] = data[at + n] * (upper + (lower - upper) * parts[y]);
      }
      made[at + 3] = 255;
    }
  }
  return { data: made, width, height };
}

// For each pixel along a side: the cell whose middle is before it, and how far it is on the way to the next one.
function placesOf(length, size, cells) {
  const places = Float32Array.from({ length }, (_, at) => Math.min(cells - 1, Math.max(0, (at + 0.5) / size - 0.5)));
  const cell = Uint16Array.from(places, Math.floor);
  return [cell, places.map((place, at) => place - cell[at])];
}
