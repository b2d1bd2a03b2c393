"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const kit = window.LightweightCharts;
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const made = [];

  // By the clock: equal lengths of time are equally wide, so nights and holes are seen. By bars: they take no room.
  const CELLS = 1500;
  const byClock = (times, values) => {
    const first = times[0], step = Math.max((times[times.length - 1] - first) / CELLS, 1), points = [];
    let at = 0;
    for (let cell = 0; cell <= CELLS && at < times.length; cell++) {
      const end = first + step * (cell + 1);
      let value = null, any = false;
      while (at < times.length && times[at] < end) { if (values[at] !== null) { value = values[at]; any = true; } at++; }
      points.push(any ? { time: Math.round(first + step * cell), value } : { time: Math.round(first + step * cell) });
    }
    return points;
  };
  const byBars = (times, values) => {
    const points = [];
    times.forEach((time, i) => {
      if (points.length && points[points.length - 1].time >= time) return;
      points.push(values[i] === null ? { time } : { time, value: values[i] });
    });
    return points;
  };

  const shown = (time, withHour) => new Date(time * 1000).toISOString().slice(0, withHour ? 16 : 10).replace("T", " ");
  const colours = () => [css("--engine0"), css("--engine1"), css("--engine2")];
  const options = () => ({
    autoSize: true,
    layout: { background: { color: "transparent" }, textColor: css("--quiet"), attributionLogo: false, fontFamily: "inherit",
      panes: { separatorColor: css("--rule") } },
    grid: { vertLines: { color: css("--rule") }, horzLines: { color: css("--rule") } },
    rightPriceScale: { borderColor: css("--rule") },
    timeScale: { borderColor: css("--rule"), timeVisible: true, secondsVisible: false, minBarSpacing: 0.01 },
    crosshair: { mode: 0 },
  });

  const build = (place, series) => {
    const frame = document.createElement("div"), bar = document.createElement("p"), box = document.createElement("div");
    bar.className = "values-at quiet";
    bar.setAttribute("aria-live", "polite");
    box.className = "canvas";
    const button = document.createElement("button");
    const reset = document.createElement("button");
    button.type = reset.type = "button";
    reset.textContent = "whole range";
    frame.append(bar, button, reset, box);
    place.replaceChildren(frame);
    place.hidden = false;
    place.nextElementSibling.classList.add("replaced");
    const chart = kit.createChart(box, options());
    let clock = true;
    const drawn = series.map(each => ({ ...each, line: chart.addSeries(each.area ? kit.AreaSeries : kit.LineSeries, each.style(), each.pane || 0) }));
    const fill = () => {
      drawn.forEach(each => {
        const points = (clock ? byClock : byBars)(each.time, each.values);
        each.line.setData(points);
        if (each.fills) kit.createSeriesMarkers(each.line, marks(each.fills, points));
      });
      button.textContent = clock ? "by the clock" : "by bars";
      button.title = clock ? "Equal lengths of time are equally wide. Press for bars side by side." : "Bars side by side: nights take no room. Press for the clock.";
      chart.timeScale().fitContent();
    };
    const panes = chart.panes();
    if (panes.length > 1) panes[1].setHeight(120);
    const say = (time, value) => {
      bar.replaceChildren();
      const add = (text, colour) => {
        const part = document.createElement("span");
        part.textContent = text;
        if (colour) part.style.color = colour;
        bar.append(part, " ");
      };
      add(time === undefined ? "Move over the chart to read values; scroll to zoom, drag to move." : shown(time, true));
      if (time !== undefined) drawn.forEach(each => {
        const point = value.get(each.line);
        if (point && point.value !== undefined) add(`${each.name} ${each.text(point.value)}`, each.style().color || each.style().lineColor);
      });
    };
    chart.subscribeCrosshairMove(event => say(event.time, event.seriesData));
    button.addEventListener("click", () => { clock = !clock; fill(); });
    reset.addEventListener("click", () => chart.timeScale().fitContent());
    say();
    fill();
    made.push(() => { chart.applyOptions(options()); drawn.forEach(each => each.line.applyOptions(each.style())); });
  };

  const marks = (fills, points) => {
    const times = points.map(point => point.time);
    const at = time => {
      let low = 0, high = times.length - 1;
      while (low < high) { const middle = (low + high + 1) >> 1; if (times[middle] <= time) low = middle; else high = middle - 1; }
      return times[low];
    };
    return fills.map(([time, size, price]) => ({
      time: at(time), position: size > 0 ? "belowBar" : "aboveBar", shape: size > 0 ? "arrowUp" : "arrowDown",
      color: size > 0 ? css("--up") : css("--bad"), size: 0.6,
    }));
  };

  const money = value => value.toLocaleString("en-US", { maximumFractionDigits: 2 });
  const whole = value => value.toLocaleString("en-US", { maximumFractionDigits: Math.abs(value) < 1000 ? 2 : 0 });
  const lines = [];
  const of = data.equity;
  Object.keys(of.lines).forEach((name, number) => {
    const hold = name === "buy and hold";
    const dash = hold ? 0 : [0, 2, 1][(number - 1) % 3]; // as in the legend: equal lines do not hide each other
    const colour = () => hold ? css("--hold") : colours()[(number - 1) % 3];
    lines.push({ name, time: of.time, values: of.lines[name], text: money,
      style: () => ({ color: colour(), lineStyle: dash, lineWidth: hold ? 1 : 2, priceLineVisible: false, lastValueVisible: !hold,
        priceFormat: { type: "custom", formatter: whole, minMove: 0.01 } }) });
    lines.push({ name: `${name} drawdown`, time: of.time, values: of.drawdowns[name], pane: 1, text: value => `${value.toFixed(2)} %`,
      style: () => ({ color: colour(), lineStyle: dash, lineWidth: 1, priceLineVisible: false, lastValueVisible: false,
        priceFormat: { type: "custom", formatter: value => `${value.toFixed(1)} %`, minMove: 0.1 } }) });
  });
  const place = name => [...document.querySelectorAll("[data-chart]")].find(each => each.dataset.chart === name);
  if (kit && of.time.length > 1) {
    if (place("equity")) build(place("equity"), lines);
    Object.entries(data.prices).forEach(([symbol, price]) => {
      if (price.time.length > 1 && place(`price ${symbol}`)) build(place(`price ${symbol}`), [{ name: symbol, time: price.time, values: price.close, fills: price.fills,
        text: value => value.toPrecision(6), style: () => ({ color: css("--hold"), lineWidth: 1, priceLineVisible: false }) }]);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => made.forEach(again => again()));
  }

  // The list of trades: sorted by the column that is pressed, filtered by a symbol.
  const list = document.getElementById("trades");
  if (list && data.trades.length) {
    const table = list.querySelector("table"), body = table.tBodies[0];
    const names = [...table.tHead.rows[0].cells].map(cell => cell.textContent);
    const filter = document.createElement("input"), count = document.createElement("span"), more = document.createElement("button");
    filter.type = "search";
    filter.placeholder = "symbol";
    filter.setAttribute("aria-label", "Show the trades of one symbol");
    more.type = "button";
    more.textContent = "more";
    count.className = "quiet";
    const controls = document.createElement("p");
    controls.append(filter, " ", count);
    list.prepend(controls);
    list.append(more);
    let by = 2, falling = false, room = 25;
    const draw = () => {
      const wanted = filter.value.trim().toLowerCase();
      const rows = data.trades.filter(row => !wanted || String(row.key[0]).toLowerCase().includes(wanted));
      rows.sort((a, b) => {
        const [x, y] = [a.key[by], b.key[by]];
        const order = x === y ? 0 : x === null ? 1 : y === null ? -1 : x < y ? -1 : 1;
        return falling ? -order : order;
      });
      body.replaceChildren(...rows.slice(0, room).map(row => {
        const line = document.createElement("tr");
        row.text.forEach((text, column) => {
          const cell = document.createElement("td");
          cell.textContent = text;
          cell.dataset.of = names[column];
          line.append(cell);
        });
        return line;
      }));
      count.textContent = `${rows.length.toLocaleString("en-US")} trades`;
      more.hidden = rows.length <= room;
    };
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
      cell.replaceChildren(button);
      button.addEventListener("click", () => {
        falling = by === column ? !falling : column > 4;
        by = column;
        [...table.tHead.rows[0].cells].forEach(other => other.removeAttribute("aria-sort"));
        cell.setAttribute("aria-sort", falling ? "descending" : "ascending");
        draw();
      });
    });
    filter.addEventListener("input", () => { room = 25; draw(); });
    more.addEventListener("click", () => { room += 100; draw(); });
    draw();
  }
})();
