// The stage: avatars side by side on one canvas, drawn by three.js with our own shading. It knows nothing of cameras,
// servers or words, and the page's CSS is what stands behind the canvas where it is transparent.

import {
  FloatType, Mesh, NearestFilter, NoBlending, PerspectiveCamera, PlaneGeometry, RGFormat, Scene, ShaderMaterial, Vector2,
  WebGLRenderer, WebGLRenderTarget, LinearSRGBColorSpace,
} from "../vendor/three/three.module.js";
import { OrbitControls } from "../vendor/three/OrbitControls.js";
import { Actor } from "./actor.js";
import { BLUR_VERTEX, blurFragment } from "./shading.js";

const FOLLOW = 0.025; // seconds in which a pose comes two thirds of the way to the newest one
const SLOW = 0.08; // seconds between drawings after which fewer pixels are drawn
const BRISK = 0.035; // seconds between drawings that leave the cores to others
const PATIENCE = 0.6; // seconds of slow drawings until then
const LEAST = 160; // rows of pixels that are drawn however slow it is
const SCALES = [1, 0.7, 0.5, 0.35, 0.25]; // of the picture's sides

// Whether the browser draws without a graphics card.
function isSlow() {
  const made = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
  const told = made?.getExtension("WEBGL_debug_renderer_info");
  const name = told ? made.getParameter(told.UNMASKED_RENDERER_WEBGL) : "";
  made?.getExtension("WEBGL_lose_context")?.loseContext();
  return !made || /swiftshader|llvmpipe|software|basic render/i.test(name);
}

export class Stage {
  // `describe` gives what is known of an avatar by its name, as freeavatar.render.stage.stage_of, with the GLB's `url`.
  constructor(canvas, describe) {
    [this.canvas, this.describe] = [canvas, describe];
    [this.actors, this.poses, this.wanted] = [new Map(), new Map(), []];
    [this.framing, this.isPaused, this.drawn] = ["face", false, 0];
    const slow = isSlow();
    [this.scale, this.slow, this.rest, this.isMirrored] = [slow ? 3 : 0, 0, 0, false];
    this.renderer = new WebGLRenderer({ canvas, alpha: true, antialias: !slow });
    this.renderer.outputColorSpace = LinearSRGBColorSpace; // the shading itself ends in sRGB
    this.renderer.autoClear = false;
    this.camera = new PerspectiveCamera();
    this.seat = new PerspectiveCamera(); // where the viewer sits about any avatar: its target is 1 away
    this.seat.position.set(0, 0, 1);
    this.orbit = new OrbitControls(this.seat, canvas);
    Object.assign(this.orbit, { enablePan: false, enableZoom: false, minDistance: 0.4, maxDistance: 2.5 });
    canvas.addEventListener("focus", () => { this.orbit.enableZoom = true; });
    canvas.addEventListener("blur", () => { this.orbit.enableZoom = false; });
    canvas.addEventListener("dblclick", () => this.orbit.reset());
    this.orbit.addEventListener("change", () => { this.isStale = true; });
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    this.loop = (now) => {
      this.frame = requestAnimationFrame(this.loop);
      if (!this.isPaused && canvas.clientWidth) this.step(now / 1000);
    };
    this.frame = requestAnimationFrame(this.loop);
  }

  // Puts avatars on the stage, by name, from left to right; those that stay are not loaded again.
  async cast(names) {
    this.wanted = [...names];
    await Promise.all(names.map(async (name) => {
      if (this.actors.has(name)) return this.actors.get(name);
      const loading = this.describe(name).then((told) => Actor.load(told));
      this.actors.set(name, loading);
      try {
        this.actors.set(name, await loading);
      } catch (error) {
        this.actors.delete(name);
        throw error;
      }
    }));
    for (const [name, actor] of this.actors) {
      if (this.wanted.includes(name) || !(actor instanceof Actor)) continue;
      actor.dispose();
      this.actors.delete(name);
    }
    this.isStale = true;
  }

  // The newest weights of the controls and turn of the head (degrees) of an avatar; the stage gets there smoothly.
  pose(name, controls, head, isAtOnce = false) {
    const kept = this.poses.get(name);
    if (!kept || isAtOnce || kept.controls.length !== controls.length) {
      this.poses.set(name, { controls: [...controls], head: [...head], goal: { controls, head } });
    } else {
      kept.goal = { controls, head };
    }
    this.isStale = true;
  }

  show(settings) {
    Object.assign(this, settings);
    this.isStale = true;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const whole = Math.min(devicePixelRatio, 2);
    this.renderer.setPixelRatio(Math.max(whole * SCALES[this.scale], Math.min(LEAST / height, whole)));
    this.renderer.setSize(width, height, false);
    this.isStale = true;
  }

  step(now) {
    const past = now - (this.now ?? now), share = 1 - Math.exp(-Math.min(past, 0.2) / FOLLOW);
    this.now = now;
    this.keepUp(past);
    if (!this.isStale || now < this.rest) return;
    this.wasDrawn = true;
    let left = 0;
    for (const name of this.wanted) {
      const actor = this.actors.get(name), pose = this.poses.get(name);
      if (!(actor instanceof Actor) || !pose || pose.controls.length !== actor.told.controls.length) continue;
      for (const [part, unit] of [["controls", 1], ["head", 30]]) {
        pose.goal[part].forEach((goal, k) => {
          const way = goal - pose[part][k];
          pose[part][k] += share * way;
          left = Math.max(left, Math.abs((1 - share) * way) / unit);
        });
      }
      actor.pose(pose.controls, pose.head);
    }
    this.isStale = left > 1e-3;
    this.draw();
  }

  // Draws fewer pixels where drawings come too slowly, as they do without a graphics card.
  keepUp(past) {
    const took = this.wasDrawn ? past : 0;
    this.slow = took > SLOW ? this.slow + took : Math.max(this.slow - 0.02, 0);
    this.wasDrawn = false;
    if (took > BRISK) this.rest = this.now + Math.min(took, 0.5); // what follows the face needs the cores as well
    if (this.slow < PATIENCE || this.scale === SCALES.length - 1) return;
    [this.scale, this.slow] = [this.scale + 1, 0];
    this.resize();
  }

  // Columns and rows of cells: side by side, and four in two rows if they are larger so.
  grid(count) {
    const { clientWidth: width, clientHeight: height } = this.canvas, half = Math.ceil(count / 2);
    return count > 3 && Math.min(width / half, height / 2) > Math.min(width / count, height) ? [half, 2] : [count, 1];
  }

  draw() {
    const { renderer } = this, { clientWidth: width, clientHeight: height } = this.canvas;
    renderer.setRenderTarget(null);
    renderer.setScissorTest(false);
    renderer.setClearColor(0, 0);
    renderer.clear();
    const present = this.wanted.map((name) => this.actors.get(name)).filter((actor) => actor instanceof Actor);
    const [columns, rows] = this.grid(Math.max(present.length, 1));
    present.forEach((actor, k) => {
      const [w, h] = [width / columns, height / rows];
      this.castShadow(actor);
      this.frameActor(actor, w / h);
      const [x, y] = [(k % columns) * w, height - (Math.floor(k / columns) + 1) * h];
      renderer.setViewport(x, y, w, h);
      renderer.setScissor(x, y, w, h);
      renderer.setScissorTest(true);
      renderer.render(actor.scene, this.camera);
    });
    renderer.setScissorTest(false);
    this.drawn++;
    this.onDraw?.();
  }

  frameActor(actor, aspect) {
    const { target, extent, fieldOfView } = actor.told.cameras[this.framing], { camera } = this;
    const half = Math.tan(fieldOfView * Math.PI / 360), distance = extent / 2 / half;
    camera.fov = 360 / Math.PI * Math.atan(half / Math.min(aspect, 1));
    camera.aspect = aspect;
    [camera.near, camera.far] = [distance * 0.1, distance * 8];
    camera.position.copy(this.seat.position).multiplyScalar(distance);
    if (this.isMirrored) camera.position.x *= -1; // so that what is dragged goes where the pointer goes
    camera.position.set(camera.position.x + target[0], camera.position.y + target[1], camera.position.z + target[2]);
    camera.lookAt(...target);
    camera.updateProjectionMatrix();
    if (this.isMirrored) camera.projectionMatrix.elements[0] *= -1;
    actor.shared.eye.value.copy(camera.position);
  }

  // The key light's map of depths and their squares, blurred: freeavatar/render/shadow.py.
  castShadow(actor) {
    const { renderer } = this, { size, kernel } = actor.told.shadow;
    if (!this.maps) {
      const kind = { type: FloatType, format: RGFormat, minFilter: NearestFilter, magFilter: NearestFilter };
      this.maps = [0, 1, 2].map((k) => new WebGLRenderTarget(size, size, { ...kind, depthBuffer: k === 0 }));
      this.blur = new ShaderMaterial({
        vertexShader: BLUR_VERTEX, fragmentShader: blurFragment(kernel), depthTest: false, depthWrite: false, blending: NoBlending,
        uniforms: { map: { value: null }, way: { value: new Vector2() } },
      });
      this.sheet = new Scene().add(new Mesh(new PlaneGeometry(2, 2), this.blur));
      this.sheet.children[0].frustumCulled = false;
    }
    const empty = actor.told.constants.EMPTY;
    renderer.setRenderTarget(this.maps[0]);
    renderer.setClearColor(0, 0);
    renderer.clear();
    const gl = renderer.getContext();
    gl.clearBufferfv(gl.COLOR, 0, [empty, empty * empty, 0, 1]);
    actor.scene.overrideMaterial = actor.shadow;
    renderer.render(actor.scene, this.camera);
    actor.scene.overrideMaterial = null;
    [[0, 1, 1, 0], [1, 2, 0, 1]].forEach(([from, to, x, y]) => {
      this.blur.uniforms.map.value = this.maps[from].texture;
      this.blur.uniforms.way.value.set(x, y);
      renderer.setRenderTarget(this.maps[to]);
      renderer.render(this.sheet, this.camera);
    });
    actor.shared.moments.value = this.maps[2].texture;
    renderer.setRenderTarget(null);
  }

  dispose() {
    cancelAnimationFrame(this.frame);
    this.orbit.dispose();
    this.renderer.dispose();
  }
}
