// The video that a stream was made from, over the picture left of the compare handle. The browser plays it, in step with the player.

/** Seconds by which it may be out of step while it plays. */
const STEP = 0.06;

export class Original {
  /** `failed()` is called if the browser cannot play it. */
  constructor(video, failed) {
    this.video = video;
    video.addEventListener("error", () => video.src && failed());
  }

  /** `address` of a video; null: none. */
  open(address) {
    this.close();
    if (address) this.video.src = address;
  }

  close() {
    if (this.video.src.startsWith("blob:")) URL.revokeObjectURL(this.video.src);
    this.video.removeAttribute("src");
    this.video.load();
  }

  get isThere() {
    return this.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !this.video.error;
  }

  /** Go to `time` (seconds) and play at `speed`, or pause (null). */
  follow(time, speed) {
    const { video } = this;
    if (!this.isThere || video.seeking) return;
    if (speed === null) video.pause();
    else if (video.paused && !video.ended) video.play().catch(() => {});
    if (speed !== null) video.playbackRate = speed;
    if (Math.abs(video.currentTime - time) > (speed === null ? 1e-3 : STEP * speed)) video.currentTime = Math.min(time, video.duration);
  }
}
