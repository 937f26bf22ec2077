// Icons of buttons and signs: paths in a square of 24 x 24.

const PATHS = {
  inside: 'M12 4v16M4 12h16',
  outside: 'M4 12h16',
  undo: 'M8 13 4 9l4-4M4 9h10a5 5 0 0 1 0 10H9',
  redo: 'M16 13l4-4-4-4M20 9H10a5 5 0 0 0 0 10h5',
  clear: 'M4 7h16M10 7V4h4v3M6 7l1 13h10l1-13',
  freeze: 'M8 5v14M16 5v14',
  goOn: 'M7 4v16l13-8z',
  back: 'M15 5 8 12l7 7',
  forward: 'M9 5l7 7-7 7',
  capture: 'M4 8h4l2-3h4l2 3h4v11H4zM12 16.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6z',
  captures: 'M7 4h13v13H7zM4 8v12h12',
  clip: 'M4 5h16v14H4zM8 5v14M16 5v14M4 9.7h4M4 14.3h4M16 9.7h4M16 14.3h4',
  broker: 'M4 10a11 11 0 0 1 16 0M7 13.5a7 7 0 0 1 10 0M10 17a3 3 0 0 1 4 0',
  disk: 'M4 6c0-4 16-4 16 0v12c0 4-16 4-16 0zM4 6c0 4 16 4 16 0',
  battery: 'M3 8h15v8H3zM18 11h3v2h-3',
  settings: 'M4 7h9M19 7h1M4 17h1M11 17h9M16 4.5v5M8 14.5v5',
};

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return <svg viewBox="0 0 24 24" aria-hidden="true"><path data-name={name} d={PATHS[name]} /></svg>;
}
