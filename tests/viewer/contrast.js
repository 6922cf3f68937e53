// Return the least contrast of each kind of text with the ground behind it, by WCAG 2: [ratio, where, text], the worst first.
() => {
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const cached = (compute, known = new Map()) => (key) => {
    if (!known.has(key)) known.set(key, compute(key));
    return known.get(key);
  };
  const read = cached((colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  });
  const over = ([r, g, b, a], below) => [r, g, b].map((value, i) => value * a + below[i] * (1 - a));
  // A box of the drawing is a group of shapes; its ground is the rectangle.
  const ground = cached((element) => {
    if (!element) return getComputedStyle(document.documentElement).colorScheme === "dark" ? [0, 0, 0] : [255, 255, 255];
    const shape = element.matches("g.box") ? element.querySelector("rect:not(.behind):not(.stripe)") : null;
    const plain = element instanceof SVGElement ? "transparent" : getComputedStyle(element).backgroundColor;
    return over(read(shape ? getComputedStyle(shape).fill : plain), ground(element.parentElement));
  });
  const opacity = cached((element) => (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1));
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = new Map();
  const counts = new Map();
  for (const element of document.querySelectorAll("body :not(script, style, noscript)")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const around = element.parentElement;
    const key = `${element.tagName}.${element.getAttribute("class") || ""} in ${around.tagName}.${around.getAttribute("class") || ""}`;
    counts.set(key, (counts.get(key) || 0) + 1);
    if (counts.get(key) > 12 || !element.checkVisibility({ checkOpacity: true })) continue;
    const style = getComputedStyle(element);
    const [r, g, b, a] = read(element instanceof SVGElement ? style.fill : style.color);
    const below = ground(element);
    const [dark, bright] = [light(over([r, g, b, a * opacity(element)], below)), light(below)].sort((x, y) => x - y);
    const ratio = Math.round((100 * (bright + 0.05)) / (dark + 0.05)) / 100;
    if (!(ratio >= found.get(key)?.[0])) found.set(key, [ratio, key, element.textContent.trim().slice(0, 30)]);
  }
  return [...found.values()].sort((x, y) => x[0] - y[0]);
}
