// Morph targets on the processor, sparse: what graphics cards do with dense ones takes 50 MB an avatar, and where the
// browser draws without a card most of its time.

import { BufferAttribute, BufferGeometry, DynamicDrawUsage } from "../vendor/three/three.module.js";

// Values of an attribute, `(V, 3)`, however the file packed them.
function valuesOf(attribute) {
  const found = new Float32Array(3 * attribute.count);
  for (let k = 0; k < attribute.count; k++) {
    found[3 * k] = attribute.getX(k);
    found[3 * k + 1] = attribute.getY(k);
    found[3 * k + 2] = attribute.getZ(k);
  }
  return found;
}

// Normals `(V, 3)` of a surface with these positions.
function normalsOf(positions, index) {
  const geometry = new BufferGeometry().setAttribute("position", new BufferAttribute(positions, 3)).setIndex(index);
  geometry.computeVertexNormals();
  return geometry.attributes.normal.array;
}

// The vertices that a target moves or tilts, and by how much: six numbers each.
function sparse(moved, tilted) {
  const rows = [];
  for (let k = 0; k < moved.length; k += 3) {
    const isStill = !(moved[k] || moved[k + 1] || moved[k + 2] || tilted[k] || tilted[k + 1] || tilted[k + 2]);
    if (!isStill) rows.push(k);
  }
  const change = new Float32Array(6 * rows.length);
  rows.forEach((k, row) => {
    change.set(moved.subarray(k, k + 3), 6 * row);
    change.set(tilted.subarray(k, k + 3), 6 * row + 3);
  });
  return { rows: Int32Array.from(rows), change };
}

export class Morph {
  // Takes a geometry's morph targets over; without normals of their own they get those of the surface they make.
  constructor(geometry) {
    const { position: moves = [], normal: tilts } = geometry.morphAttributes;
    if (!geometry.attributes.normal) geometry.computeVertexNormals();
    this.rest = [valuesOf(geometry.attributes.position), valuesOf(geometry.attributes.normal)];
    const plain = moves.length && !tilts ? normalsOf(this.rest[0], geometry.index) : null;
    this.targets = moves.map((attribute, k) => {
      const moved = valuesOf(attribute);
      const tilted = tilts ? valuesOf(tilts[k]) : normalsOf(moved.map((x, i) => x + this.rest[0][i]), geometry.index).map((x, i) => x - plain[i]);
      return sparse(moved, tilted);
    });
    this.attributes = ["position", "normal"].map((name, part) => {
      const attribute = new BufferAttribute(this.rest[part].slice(), 3).setUsage(DynamicDrawUsage);
      geometry.setAttribute(name, attribute);
      return attribute;
    });
    geometry.morphAttributes = {};
    this.weights = new Float32Array(this.targets.length);
    this.set = new Float32Array(this.targets.length);
  }

  // Moves the vertices by `weights`, if they have changed.
  apply() {
    const { weights, set, rest, targets } = this;
    if (weights.every((weight, k) => weight === set[k])) return;
    set.set(weights);
    const [positions, normals] = this.attributes.map(({ array }) => array);
    positions.set(rest[0]);
    normals.set(rest[1]);
    targets.forEach(({ rows, change }, target) => {
      const weight = weights[target];
      if (!weight) return;
      for (let row = 0, at = 0; row < rows.length; row++, at += 6) {
        const k = rows[row];
        positions[k] += weight * change[at];
        positions[k + 1] += weight * change[at + 1];
        positions[k + 2] += weight * change[at + 2];
        normals[k] += weight * change[at + 3];
        normals[k + 1] += weight * change[at + 4];
        normals[k + 2] += weight * change[at + 5];
      }
    });
    for (const attribute of this.attributes) attribute.needsUpdate = true;
  }
}
