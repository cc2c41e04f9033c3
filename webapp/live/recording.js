// A recording of the camera, made and kept by the browser, and how it gets to where videos are animated.

// Records a stream; `done` gets the file once it is stopped.
export function record(stream, done) {
  const parts = [], recorder = new MediaRecorder(stream, { videoBitsPerSecond: 4_000_000 });
  recorder.ondataavailable = ({ data }) => data.size && parts.push(data);
  recorder.onstop = () => {
    const type = recorder.mimeType.split(";")[0], stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    done(new File(parts, `live-${stamp}.${type.endsWith("mp4") ? "mp4" : "webm"}`, { type }));
  };
  recorder.start(1000);
  return recorder;
}

// Puts a file where the tab's video is chosen, and shows that; where there is one already the file is saved instead.
export function animate(file, root) {
  const input = document.querySelector("#actor input[type=file]");
  if (!input) {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: file.name });
    link.click();
    return false;
  }
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  root.closest(".tabs")?.querySelector("[role=tab]")?.click();
  return true;
}
