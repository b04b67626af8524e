// PCM sound with the interface of `AudioDecoder`: no browser supports all kinds, and one crashes its tab at 24 bits.

/** [bytes of a sample, its value −1…1 at a byte of a view] by name; `little`: the first byte is the lowest. */
const SAMPLES = {
  u8: [1, (view, at) => (view.getUint8(at) - 128) / 2 ** 7],
  s16: [2, (view, at, little) => view.getInt16(at, little) / 2 ** 15],
  s24: [3, (view, at, little) => ((view.getInt8(at + (little ? 2 : 0)) << 16) | view.getUint8(at + 1) << 8 | view.getUint8(at + (little ? 0 : 2))) / 2 ** 23],
  s32: [4, (view, at, little) => view.getInt32(at, little) / 2 ** 31],
  f32: [4, (view, at, little) => view.getFloat32(at, little)],
  f64: [8, (view, at, little) => view.getFloat64(at, little)],
};

export class PcmDecoder {
  /** `output` gets the fields of `AudioDecoder`'s output that the player reads. */
  constructor({ output }) {
    this.output = output;
    this.state = "unconfigured";
    this.decodeQueueSize = 0;
  }

  /** `codec`: pcm-NAME or pcm-NAMEbe. */
  configure({ codec, sampleRate, numberOfChannels }) {
    const name = codec.replace("pcm-", "");
    this.little = !name.endsWith("be");
    [this.bytes, this.sample] = SAMPLES[name.replace("be", "")];
    Object.assign(this, { sampleRate, numberOfChannels, state: "configured" });
  }

  decode(chunk) {
    const data = new Uint8Array(chunk.byteLength), view = new DataView(data.buffer);
    chunk.copyTo(data);
    const { bytes, sample, little, numberOfChannels, sampleRate } = this;
    const numberOfFrames = Math.floor(data.length / bytes / numberOfChannels);
    const copyTo = (plane, { planeIndex }) => {
      for (let n = 0; n < numberOfFrames; ++n) plane[n] = sample(view, (n * numberOfChannels + planeIndex) * bytes, little);
    };
    if (numberOfFrames) this.output({ numberOfFrames, numberOfChannels, sampleRate, timestamp: chunk.timestamp, copyTo, close() {} });
  }

  close() {
    this.state = "closed";
  }
}
