/* How far it is, in words: state, steps, speed, time left; read out only when the state changes and every quarter. */

import { $, announce, say } from "./dom.js";
import { capital, number, size, stateWord, time } from "./words.js";

export function makeProgress() {
  let spoken = "", quarter = 0, linked = true, last = null, painted = false;

  function update(state, ready) {
    last = state;
    painted = ready;
    const words = stateWord(state.state, state.place);
    say($("#state"), linked ? words : "Not connected, trying again");
    say($("#step"), state.state === "waiting" && !state.step ? "" : state.total ? `${state.step} of ${state.total}` : "");
    $("#progress").value = state.total ? state.step / state.total : 0;
    $("#dot").dataset.state = linked ? state.state : "lost";
    say($("#pace"), pace(state));
    $("#pace").hidden = state.state === "finished" || state.state === "failed";
    say($("#stage-size"), sizes(state));
    say($("#note"), state.message || "");
    $("#note").hidden = !state.message;
    $("#note").classList.toggle("bad", state.state === "failed");
    buttons(state);
    speak(state, words);
    document.title = title(state);
  }

  function pace(state) {
    const { stage } = state, parts = [];
    if (state.state === "painting" && state.steps_per_second) parts.push(state.steps_per_second >= 1 ? `${number(state.steps_per_second)} steps a second` : `${number(1 / state.steps_per_second)} seconds a step`);
    if (state.state === "painting" && state.seconds_left !== null && state.seconds_left !== undefined) parts.push(`${time(state.seconds_left)} left`);
    if (stage?.network && stage.network !== "main") parts.push(`${stage.network} network`);
    return parts.join(" · ");
  }

  const sizes = ({ state, stage, width, height }) => !stage?.width || state === "waiting" ? "" : stage.width === width ? size(width, height) : `${size(stage.width, stage.height)} of ${size(width, height)}`;

  function buttons({ state }) {
    const running = ["waiting", "preparing", "painting"].includes(state), over = state === "finished" || state === "failed";
    $("#pause").hidden = over;
    $("#pause").disabled = state === "waiting";
    say($("#pause-text"), running ? "Pause" : "Go on");
    $("#pause-icon").setAttribute("href", running ? "#i-pause" : "#i-play");
    $("#finish").hidden = over;
    $("#finish").disabled = !painted;
  }

  function speak(state, words) {
    const now = state.total ? Math.floor(4 * state.step / state.total) : 0;
    if (words !== spoken) announce(words); else if (now > quarter && state.state === "painting") announce(`${now * 25} %`);
    spoken = words;
    quarter = now;
  }

  function title(state) {
    const part = ["painting", "paused"].includes(state.state) && state.total ? `${Math.floor(100 * state.step / state.total)} % · ` : "";
    return `${part}${capital(state.title || "a painting")} · nst_jax studio`;
  }

  return {
    open() { spoken = ""; quarter = 0; linked = true; last = null; },
    update,
    link(on) { linked = on; if (last) update(last, painted); },
  };
}
