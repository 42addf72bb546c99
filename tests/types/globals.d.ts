// What the page's JavaScript uses and TypeScript's own descriptions of browsers leave out.

// Chromium alone: https://www.w3.org/TR/battery-status/
interface BatteryManager extends EventTarget {
  readonly charging: boolean;
  readonly level: number;
}

interface Navigator {
  getBattery?(): Promise<BatteryManager>;
  readonly deviceMemory?: number; // GiB: https://www.w3.org/TR/device-memory/
}

// https://gpuweb.github.io/gpuweb/: the constants, whose types TypeScript has
declare const GPUBufferUsage: Readonly<
  Record<"MAP_READ" | "COPY_SRC" | "COPY_DST" | "STORAGE" | "UNIFORM" | "QUERY_RESOLVE", GPUBufferUsageFlags>
>;
declare const GPUMapMode: Readonly<Record<"READ", GPUMapModeFlags>>;

// Chromium's experiment "chromium-experimental-subgroup-matrix"
interface GPUAdapterInfo {
  readonly subgroupMatrixConfigs?: readonly {
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }[];
}

// Of Chart.js, a classic script, which charts.js loads when there is something to draw
declare var Chart: {
  new (canvas: HTMLElement, configuration: object): { destroy(): void };
  defaults: { font: object };
};

// Of marked and DOMPurify, likewise, which markdown.js loads
declare var marked: { Marked: new (options: object) => { parse(text: string): string } };
declare var DOMPurify: { sanitize(html: string, options: object): DocumentFragment };

// Of Idiomorph, likewise, which lists.js loads
declare var Idiomorph: { morph(element: Element, content: Node[], options: object): unknown } | undefined;

// Of a service worker, as far as service_worker.js uses it: TypeScript describes it apart from pages
interface ServiceWorkerEvent extends Event {
  readonly request: Request;
  readonly data: unknown;
  waitUntil(work: Promise<unknown>): void;
  respondWith(answer: Promise<Response>): void;
}
interface ServiceWorkerSide {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: {
    claim(): Promise<void>;
    matchAll(options: { includeUncontrolled: boolean }): Promise<{ postMessage(message: unknown): void }[]>;
  };
  skipWaiting(): Promise<void>;
  addEventListener(
    kind: "install" | "activate" | "message" | "fetch",
    handler: (event: ServiceWorkerEvent) => void,
  ): void;
}

// What the server puts in front of service_worker.js: of each file its sha256, size and type, and the policies of those
// that have their own
declare const RELEASE: Readonly<{
  version: string;
  headers: Record<string, string>;
  policies: Record<string, string>;
  files: Record<string, [string, number, string]>;
}>;

// https://wicg.github.io/web-app-launch/
declare var launchQueue:
  | { setConsumer(consumer: (launch: { readonly files: FileSystemFileHandle[] }) => void): void }
  | undefined;

// https://w3c.github.io/trusted-types/
declare var trustedTypes:
  | {
    readonly defaultPolicy: unknown;
    createPolicy(name: string, rules: Record<"createHTML" | "createScriptURL", (text: string) => string | null>): void;
  }
  | undefined;

// What boot.js gives to Python
declare var paint: (changes: string) => void;
declare var listen: (id: string, event: string, handler: EventListener) => void;
declare var offer: (id: string, choices: string) => void;

// What theme.js gives to boot.js
declare var theme: (name?: string) => string;
