// Shows 10-bit 4:2:0 planes on a canvas by WebGL 2: colour by the stream's tags, the base layer left of the compare handle.

import { toRgb } from "./colour.js";

const VERTEX = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0;
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
uniform usampler2D painted[3], base[3];
uniform ivec2 size;
uniform float split;
uniform vec2 place;       // of the first chroma sample, in luma samples
uniform vec3 offset, gain;
uniform mat3 matrix;
out vec4 colour;

float chroma(usampler2D plane, vec2 luma) {
  ivec2 most = textureSize(plane, 0) - 1;
  vec2 at = (luma - place) / 2.0;
  ivec2 low = ivec2(floor(at));
  vec2 part = at - vec2(low);
  float a = float(texelFetch(plane, clamp(low, ivec2(0), most), 0).r);
  float b = float(texelFetch(plane, clamp(low + ivec2(1, 0), ivec2(0), most), 0).r);
  float c = float(texelFetch(plane, clamp(low + ivec2(0, 1), ivec2(0), most), 0).r);
  float d = float(texelFetch(plane, clamp(low + ivec2(1, 1), ivec2(0), most), 0).r);
  return mix(mix(a, b, part.x), mix(c, d, part.x), part.y);
}

vec3 samples(usampler2D y, usampler2D u, usampler2D v, ivec2 at) {
  return vec3(float(texelFetch(y, at, 0).r), chroma(u, vec2(at)), chroma(v, vec2(at)));
}

void main() {
  ivec2 at = ivec2(gl_FragCoord.x, float(size.y) - gl_FragCoord.y);
  bool left = gl_FragCoord.x < split;
  vec3 yuv = left ? samples(base[0], base[1], base[2], at) : samples(painted[0], painted[1], painted[2], at);
  colour = vec4(clamp(matrix * ((yuv - offset) * gain), 0.0, 1.0), 1.0);
}`;

/** As gvcodec/planes.py has them. */
export const PLACES = [[0, 0.5], [0.5, 0.5], [0, 0], [0.5, 0], [0, 1], [0.5, 1]];

export class View {
  /** WebGL 2 on this canvas; null without it, or by default if it runs in software. */
  static contextOf(canvas, slowToo) {
    return slowToo || hasGpu() ? canvas.getContext("webgl2", { preserveDrawingBuffer: true, antialias: false }) : null;
  }

  /** Compiling takes long, so it begins before a stream is open. */
  constructor(canvas, gl) {
    this.canvas = canvas;
    this.gl = gl;
    this.program = begun(gl);
    this.textures = Array.from({ length: 6 }, () => gl.createTexture());
    this.size = [2, 2];
    gl.useProgram(this.program);
    this.take(new Uint16Array(6), null);
    this.draw(1);
  }

  /** Frames of this stream come. */
  open(header) {
    const { canvas, gl, program } = this;
    const { width, height, colour } = header;
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "WebGL does not work here");
    if (Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) throw new Error("the picture is too large for WebGL here");
    this.size = [width, height];
    [canvas.width, canvas.height] = this.size;
    gl.uniform1iv(this.at("painted"), [0, 1, 2]);
    gl.uniform1iv(this.at("base"), [3, 4, 5]);
    gl.uniform2i(this.at("size"), width, height);
    gl.uniform2fv(this.at("place"), PLACES[colour.location] ?? PLACES[0]);
    const { offset, gain, matrix } = toRgb(header);
    gl.uniform3fv(this.at("offset"), offset);
    gl.uniform3fv(this.at("gain"), gain);
    gl.uniformMatrix3fv(this.at("matrix"), false, matrix);
  }

  at(name) {
    return this.gl.getUniformLocation(this.program, name);
  }

  /** The samples of a frame, which `draw` shows; `painted` may be null. */
  take(base, painted) {
    this.upload(base, 3);
    if (painted) this.upload(painted, 0);
    this.hasPainted = Boolean(painted);
  }

  /** `split`: share of the width that shows the base, 0…1; without painted planes all of it does. */
  draw(split) {
    const { gl } = this;
    gl.viewport(0, 0, ...this.size);
    gl.uniform1f(this.at("split"), (this.hasPainted ? split : 1) * this.size[0]);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  upload(samples, first) {
    const { gl } = this;
    const [width, height] = this.size;
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 2);
    let begin = 0;
    for (let c = 0; c < 3; ++c) {
      const [w, h] = c ? [Math.ceil(width / 2), Math.ceil(height / 2)] : [width, height];
      gl.activeTexture(gl.TEXTURE0 + first + c);
      gl.bindTexture(gl.TEXTURE_2D, this.textures[first + c]);
      for (const what of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, what, gl.NEAREST);
      const plane = samples.subarray(begin, (begin += w * h));
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16UI, w, h, 0, gl.RED_INTEGER, gl.UNSIGNED_SHORT, plane);
    }
  }
}

/** Names of software renderers. */
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** Whether WebGL runs on a GPU here. */
function hasGpu() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const named = gl?.getExtension("WEBGL_debug_renderer_info");
  const name = gl?.getParameter(named ? named.UNMASKED_RENDERER_WEBGL : gl.RENDERER) ?? "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(gl) && !SOFTWARE.test(name);
}

/** A program that is being compiled; whether it could be is asked later. */
function begun(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return program;
}
