// What the scripts may count on beyond the browser's own types. It is read by `tsc` only and neither served nor packaged.

// Pages are made of HTML elements; Plotly's SVG is Plotly's. A selector that is or begins with an element's name gives that element.
interface ParentNode {
  querySelector<K extends keyof HTMLElementTagNameMap>(selectors: K): HTMLElementTagNameMap[K] | null;
  querySelector(selectors: `a[${string}`): HTMLAnchorElement | null;
  querySelector<E extends HTMLElement = HTMLElement>(selectors: string): E | null;
  querySelectorAll<K extends keyof HTMLElementTagNameMap>(selectors: K): NodeListOf<HTMLElementTagNameMap[K]>;
  querySelectorAll(selectors: `a[${string}`): NodeListOf<HTMLAnchorElement>;
  querySelectorAll<E extends HTMLElement = HTMLElement>(selectors: string): NodeListOf<E>;
}

interface Element {
  closest<K extends keyof HTMLElementTagNameMap>(selectors: K): HTMLElementTagNameMap[K] | null;
  closest(selectors: `a[${string}`): HTMLAnchorElement | null;
  closest<E extends HTMLElement = HTMLElement>(selectors: string): E | null;
}

// An event's target is an element, or the document or window, which have neither of these: `event.target.closest?.(...)`.
interface EventTarget {
  closest?(selectors: `a[${string}`): HTMLAnchorElement | null;
  closest?<E extends HTMLElement = HTMLElement>(selectors: string): E | null;
  matches?: any; // a boolean of a MediaQueryList
}

interface Document {
  readonly activeElement: HTMLElement | null;
}

// Plotly's script sets it (charts.js).
interface Window {
  Plotly: any;
}
