// One avatar on the stage: its GLB with our materials, and what weights and a head's turn do to it.

import { BufferAttribute, DoubleSide, Matrix4, Quaternion, Scene, ShaderMaterial, Vector3, Vector4 } from "../vendor/three/three.module.js";
import { GLTFLoader } from "../vendor/three/GLTFLoader.js";
import { Morph } from "./morph.js";
import { fragment, SHADOW_FRAGMENT, SHADOW_VERTEX, VERTEX } from "./shading.js";

const AXES = { x: new Vector3(1, 0, 0), y: new Vector3(0, 1, 0), z: new Vector3(0, 0, 1) };

// Product of weights by name; "!" before a name stands for what its weight lacks to 1.
const product = (names, weights) => names.reduce(
  (total, name) => total * (name[0] === "!" ? 1 - (weights[name.slice(1)] || 0) : weights[name] || 0), 1);

// Directions in which v grows over the surface, `(V, 3)`: textures of hair run along it. Zeros where the texture does
// not say; as strand_tangents of freeavatar/avatars/glb.py.
function strandsOf({ index, attributes: { position, uv } }) {
  const found = new Float32Array(3 * position.count);
  if (!uv) return found;
  const [a, b, c, along] = [0, 0, 0, 0].map(() => new Vector3());
  for (let start = 0; start < (index ? index.count : position.count); start += 3) {
    const [i, j, k] = [0, 1, 2].map((corner) => (index ? index.getX(start + corner) : start + corner));
    a.fromBufferAttribute(position, i);
    b.fromBufferAttribute(position, j).sub(a);
    c.fromBufferAttribute(position, k).sub(a);
    const [u1, v1] = [uv.getX(j) - uv.getX(i), uv.getY(j) - uv.getY(i)];
    const [u2, v2] = [uv.getX(k) - uv.getX(i), uv.getY(k) - uv.getY(i)];
    along.copy(c).multiplyScalar(u1).addScaledVector(b, -u2).multiplyScalar(Math.sign(u1 * v2 - v1 * u2)).normalize();
    for (const vertex of [i, j, k]) {
      found[3 * vertex] += along.x;
      found[3 * vertex + 1] += along.y;
      found[3 * vertex + 2] += along.z;
    }
  }
  for (let vertex = 0; vertex < found.length; vertex += 3) {
    const length = Math.max(Math.hypot(found[vertex], found[vertex + 1], found[vertex + 2]), 1e-9);
    for (let k = 0; k < 3; k++) found[vertex + k] /= length;
  }
  return found;
}

export class Actor {
  // `told` is what freeavatar.render.stage.stage_of says of the avatar, with the `url` of its GLB.
  static async load(told) {
    return new Actor(told, await new GLTFLoader().loadAsync(told.url));
  }

  constructor(told, gltf) {
    [this.told, this.name, this.scene] = [told, told.name, new Scene().add(gltf.scene)];
    this.shared = { eye: { value: new Vector3() }, moments: { value: null }, toKey: { value: new Matrix4().fromArray(told.shadow.matrix).transpose() } };
    this.amounts = (told.wrinkles?.layers || []).map(() => new Vector3());
    this.folded = { value: false };
    this.morphs = []; // by the file's index of a mesh, those of its parts
    this.scene.updateMatrixWorld(true);
    const nodes = [];
    this.scene.traverse((object) => {
      const place = gltf.parser.associations.get(object);
      if (place?.nodes !== undefined) nodes[place.nodes] = object;
      if (object.isMesh) this.dress(object, place, gltf.parser);
    });
    const pivot = new Vector3(...told.head.pivot);
    this.heads = told.head.nodes.map((index) => nodes[index]).filter(Boolean).map((node) => {
      const parent = node.parent ? node.parent.matrixWorld.clone() : new Matrix4();
      node.matrixAutoUpdate = false;
      return { node, rest: node.matrixWorld.clone(), back: parent.invert() };
    });
    this.pivot = [new Matrix4().makeTranslation(pivot), new Matrix4().makeTranslation(pivot.clone().negate())];
    this.shadow = new ShaderMaterial({
      vertexShader: SHADOW_VERTEX, fragmentShader: SHADOW_FRAGMENT, uniforms: { toKey: this.shared.toKey }, side: DoubleSide,
    });
    this.pose(new Float32Array(told.controls.length), [0, 0, 0]);
  }

  dress(mesh, place, parser) {
    const geometry = mesh.geometry, known = parser.associations.get(mesh.material)?.materials;
    const morph = geometry.userData.morph ||= new Morph(geometry), parts = this.morphs[place?.meshes] ||= [];
    if (!parts.includes(morph)) parts.push(morph);
    mesh.updateMorphTargets();
    mesh.frustumCulled = false;
    const material = this.told.materials[known ?? this.told.materials.length - 1];
    const isHair = material.row[10] > 0;
    geometry.setAttribute("strand", new BufferAttribute(
      isHair ? strandsOf(geometry) : new Float32Array(3 * geometry.attributes.position.count), 3));
    mesh.material = this.materialOf(mesh.material, material, isHair);
  }

  materialOf(original, { row, color, folds }, isHair) {
    const { told } = this, layers = folds && original.aoMap ? told.wrinkles.layers : [];
    const kind = {
      lights: told.lights.length, layers: layers.length, isEye: row[9] > 0, isHair, hasTexture: Boolean(original.map),
      hasHoles: original.alphaTest > 0 || original.transparent,
    };
    const leastAlpha = original.alphaTest || (original.transparent ? 0.4 : 0);
    const uniforms = {
      ...this.shared,
      lightDirections: { value: told.lights.map(({ direction }) => new Vector3(...direction)) },
      lightColors: { value: told.lights.map((light) => new Vector3(...light.color)) },
      sky: { value: new Vector3(...told.sky) }, ground: { value: new Vector3(...told.ground) },
      baseColor: { value: new Vector3(...color) }, wrap: { value: new Vector3(...row.slice(0, 3)) },
      lobes: { value: new Vector4(...row.slice(3, 7)) }, rimGain: { value: row[7] }, bleed: { value: row[8] },
      fill: { value: row[11] },
      shadowStrength: { value: told.shadow.strength }, map: { value: original.map }, leastAlpha: { value: leastAlpha },
    };
    if (layers.length) {
      Object.assign(uniforms, {
        relief: { value: original.aoMap }, boxes: { value: layers.map(({ box }) => new Vector4(...box)) },
        amounts: { value: this.amounts }, depth: { value: told.wrinkles.depth }, isFolded: this.folded,
      });
    }
    return new ShaderMaterial({
      vertexShader: VERTEX, uniforms, fragmentShader: fragment(told.constants, kind),
      side: DoubleSide, vertexColors: Boolean(original.vertexColors),
    });
  }

  // Weights of the controls `(K,)` in [0, 1], and the head's yaw, pitch and roll in degrees.
  pose(controls, head) {
    const { told } = this, weights = Object.fromEntries(told.controls.map((name, k) => [name, controls[k]]));
    const all = { ...weights };
    for (const [name, inputs] of Object.entries(told.correctives)) all[name] = product(inputs, weights);
    for (const morph of this.morphs.flat()) morph?.weights.fill(0);
    for (const [name, binds] of Object.entries(told.binds)) {
      for (const [index, target, share] of all[name] ? binds : []) {
        for (const morph of this.morphs[index] || []) morph.weights[target] += share * all[name];
      }
    }
    for (const morph of this.morphs.flat()) morph?.apply();
    this.fold(weights);
    this.turn(head);
  }

  fold(weights) {
    let most = 0;
    (this.told.wrinkles?.layers || []).forEach(({ channel, terms }, k) => {
      const total = terms.reduce((sum, [coefficient, names]) => sum + coefficient * product(names, weights), 0);
      const amount = Math.min(Math.max(total, 0), 1);
      this.amounts[k].set(0, 0, 0).setComponent(channel, amount);
      most = Math.max(most, amount);
    });
    this.folded.value = most > 0;
  }

  // Ry(yaw) Rx(pitch) Rz(-roll) of the world about the pivot, as freeavatar.rotation.head_quaternion.
  turn([yaw, pitch, roll]) {
    const about = (axis, degrees) => new Quaternion().setFromAxisAngle(axis, degrees * Math.PI / 180);
    const turn = about(AXES.y, yaw).multiply(about(AXES.x, pitch)).multiply(about(AXES.z, -roll));
    const moved = this.pivot[0].clone().multiply(new Matrix4().makeRotationFromQuaternion(turn)).multiply(this.pivot[1]);
    for (const { node, rest, back } of this.heads) {
      node.matrix.copy(back).multiply(moved).multiply(rest);
      node.matrixWorldNeedsUpdate = true;
    }
    this.scene.updateMatrixWorld(true);
  }

  dispose() {
    this.shadow.dispose();
    this.scene.traverse((object) => {
      if (!object.isMesh) return;
      for (const name of ["map", "relief"]) object.material.uniforms[name]?.value?.dispose();
      object.material.dispose();
      object.geometry.dispose();
      object.skeleton?.dispose();
    });
  }
}
