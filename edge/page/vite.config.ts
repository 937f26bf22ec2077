// Builds the page into three files with fixed names, which the service contains.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

/** Licences of the packages in page.js, which demand their notice in all copies. */
const NOTICES = ['preact', '@preact/signals', '@preact/signals-core'].map((name) =>
  readFileSync(new URL(`node_modules/${name}/LICENSE`, import.meta.url), 'utf8').trim());

/** Adds the notices to page.js, and index.html with the names of the built files. */
const finish: Plugin = {
  name: 'finish',
  apply: 'build',
  generateBundle(_, files) {
    const page = files['page.js'];
    if (page?.type === 'chunk') page.code = `/*!\nPreact and its signals:\n\n${[...new Set(NOTICES)].join('\n\n')}\n*/\n${page.code}`;
    const html = readFileSync(new URL('index.html', import.meta.url), 'utf8');
    const source = html
      .replace('src="src/main.tsx"', 'src="page.js"')
      .replace('<script', '<link rel="stylesheet" href="page.css">\n<script');
    this.emitFile({ type: 'asset', fileName: 'index.html', source });
  },
};

/** Device to which `npm run dev` passes requests on, by default that of `PORT=8080 make live`. */
const device = process.env.MEDSA_DEVICE ?? 'http://127.0.0.1:8080';

/** Paths of requests to the device (edge/src/http). */
const paths = ['live', 'command', 'prompt', 'name', 'preset', 'presets', 'build', 'capture', 'cine', 'records', 'session'];

export default defineConfig({
  base: './',
  plugins: [finish],
  build: {
    target: 'es2022',
    cssTarget: 'chrome111',
    modulePreload: false,
    rollupOptions: {
      input: fileURLToPath(new URL('src/main.tsx', import.meta.url)),
      // The tests import parts of the page from its script.
      preserveEntrySignatures: 'strict',
      output: { entryFileNames: 'page.js', assetFileNames: 'page[extname]', inlineDynamicImports: true },
    },
  },
  server: {
    proxy: Object.fromEntries(paths.map((path) => [`/${path}`, {
      target: device,
      ws: path === 'live',
      // The device refuses pages of other origins, and may have a certificate of its own.
      changeOrigin: true,
      headers: { origin: device },
      secure: false,
    }])),
  },
});
