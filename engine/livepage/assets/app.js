// Shows what the server tells, once a second, and asks it to change the pace. All HTML
// comes escaped from the server that serves this script.
'use strict';
(() => {
  const at = id => document.getElementById(id);
  const shown = {};
  const tell = text => { at('connection').textContent = text; };

  const show = picture => {
    for (const [id, html] of Object.entries(picture.parts)) {
      if (shown[id] !== html && at(id)) {
        at(id).innerHTML = html;
        shown[id] = html;
      }
    }
    document.title = picture.title;
    at('pause').disabled = !picture.at_work || picture.paused;
    at('resume').disabled = !picture.at_work || !picture.paused;
    at('apply').disabled = !picture.at_work;
    tell('As of ' + picture.at);
  };

  const events = new EventSource('events');
  events.onmessage = e => show(JSON.parse(e.data));
  events.onerror = () => {
    tell('The connection is lost: the process that serves this page has ended, or cannot be reached. What is shown is the last that was told.');
    for (const id of ['pause', 'resume', 'apply']) at(id).disabled = true;
  };

  const ask = async what => {
    at('answer').textContent = 'asking';
    try {
      const reply = await fetch('set', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(what)});
      at('answer').textContent = (await reply.json()).text;
    } catch (err) {
      at('answer').textContent = 'not asked: ' + err.message;
    }
  };
  at('pause').addEventListener('click', () => ask({paused: true}));
  at('resume').addEventListener('click', () => ask({paused: false}));
  at('controls').addEventListener('submit', e => {
    e.preventDefault();
    if (at('ceiling').value !== '') ask({requests_per_second: Number(at('ceiling').value)});
  });
})();
