"use strict";
// A turnable cloud on a 2D canvas: each point a small square, the nearest one seen (a z-buffer).

const HEAT = [[0, 0, 3], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];

const clouds = new Map();
const lsfaCloud = (key, data) => clouds.set(key, data); // called by parts/KEY/cloud.js

function load(key) { // fetch() is forbidden on file://, a script tag is not
  return new Promise((resolve, reject) => {
    if (clouds.has(key)) return resolve(clouds.get(key));
    const script = document.createElement("script");
    script.src = `parts/${key}/cloud.js`;
    script.onload = () => (script.remove(), resolve(clouds.get(key)));
    script.onerror = () => (script.remove(), reject(new Error("no cloud")));
    document.head.append(script);
  });
}

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function colour(heat) { // 0.5 thresholds dark, 1.5 yellow, as in the pictures
  const at = Math.min(Math.max(heat - 0.5, 0), 1) * (HEAT.length - 1);
  const low = Math.min(Math.floor(at), HEAT.length - 2);
  return HEAT[low].map((c, i) => c + (HEAT[low + 1][i] - c) * (at - low));
}

const packed = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

class Viewer {
  constructor(canvas, data) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.count = data.count;
    this.rgb = bytes(data.rgb);
    this.xyz = Float32Array.from(new Uint16Array(bytes(data.xyz).buffer), (v) => v / 32767 - 1);
    this.heat = Float32Array.from(new Uint16Array(bytes(data.heat).buffer), (v) => v / 4096);
    this.paint = new Uint32Array(this.count);
    this.listen();
    this.home();
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  home() {
    Object.assign(this, { turn: 0, tilt: 0, zoom: 1 });
    this.ask();
  }

  light(above) { // number of points lit
    let lit = 0;
    for (let i = 0; i < this.count; i++) {
      const [r, g, b] = this.rgb.subarray(3 * i, 3 * i + 3);
      if (this.heat[i] > above) {
        lit++;
        this.paint[i] = packed(...colour(Math.max(this.heat[i], 0.95)));
      } else {
        const grey = 0.08 * r + 0.2 * g + 0.04 * b; // dim and half grey, so that heat stands out
        this.paint[i] = packed(0.4 * r + grey, 0.4 * g + grey, 0.4 * b + grey);
      }
    }
    this.ask();
    return lit;
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    const dots = Math.min(window.devicePixelRatio || 1, 2);
    this.canvas.width = Math.max(Math.round(clientWidth * dots), 1);
    this.canvas.height = Math.max(Math.round(clientHeight * dots), 1);
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.depth = new Float32Array(this.pixels.length);
    this.ask();
  }

  ask() {
    if (!this.asked) this.asked = requestAnimationFrame(() => ((this.asked = 0), this.draw()));
  }

  draw() {
    if (!this.image) return;
    const { width, height } = this.canvas;
    const { pixels, depth, xyz, paint } = this;
    pixels.fill(0);
    depth.fill(Infinity);
    const scale = 0.46 * Math.min(width, height) * this.zoom;
    const half = Math.max(Math.round((1.1 * scale) / Math.sqrt(this.count)), 1);
    const [c, s] = [Math.cos(this.turn), Math.sin(this.turn)];
    const [d, t] = [Math.cos(this.tilt), Math.sin(this.tilt)];
    for (let i = 0; i < this.count; i++) {
      const [x, y, z] = [xyz[3 * i], xyz[3 * i + 1], xyz[3 * i + 2]];
      const across = c * x + s * z, away = c * z - s * x;
      const far = t * y + d * away;
      const left = Math.round(width / 2 + scale * across) - half;
      const top = Math.round(height / 2 + scale * (d * y - t * away)) - half;
      const right = Math.min(left + 2 * half, width), bottom = Math.min(top + 2 * half, height);
      for (let v = Math.max(top, 0); v < bottom; v++) {
        for (let p = v * width + Math.max(left, 0), end = v * width + right; p < end; p++) {
          if (far < depth[p]) {
            depth[p] = far;
            pixels[p] = paint[i];
          }
        }
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }

  by(turn, tilt, zoom = 1) {
    this.turn += turn;
    this.tilt += tilt;
    this.zoom = Math.min(Math.max(this.zoom * zoom, 0.3), 12);
    this.ask();
  }

  listen() {
    const canvas = this.canvas, fingers = new Map();
    const spread = () => {
      const [a, b] = [...fingers.values()];
      return Math.hypot(a.x - b.x, a.y - b.y);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const wide = fingers.size === 2 && spread();
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (wide) this.by(0, 0, spread() / wide);
      else this.by((before.x - event.clientX) / 150, (event.clientY - before.y) / 150);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
    }
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return; // an ordinary wheel scrolls the page
      event.preventDefault();
      this.by(0, 0, Math.exp(-event.deltaY / 300));
    }, { passive: false });
    const keys = {
      ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1],
      "+": [0, 0, 1.15], "=": [0, 0, 1.15], "-": [0, 0, 1 / 1.15],
    };
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "0") this.home();
      else if (keys[event.key]) this.by(...keys[event.key]);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
}
