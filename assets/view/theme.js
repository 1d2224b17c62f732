// Light or dark: as the system says, or as the user chose.

const KEY = 'posedata-theme';
const CHOICES = ['light dark', 'light', 'dark'];
const NAMES = { 'light dark': 'as the system', light: 'light', dark: 'dark' };
const system = matchMedia('(prefers-color-scheme: dark)');

/** Whether the page is dark now. */
export function isDark() {
  const choice = chosen();
  return choice === 'dark' || (choice === 'light dark' && system.matches);
}

/** Shows the chosen theme, and calls `onChange` whenever it changes. */
export function startTheme(button, onChange) {
  const show = () => {
    document.documentElement.style.colorScheme = chosen();
    button.title = `Theme: ${NAMES[chosen()]}`;
    button.setAttribute('aria-label', button.title);
  };
  button.addEventListener('click', () => {
    keep(CHOICES[(CHOICES.indexOf(chosen()) + 1) % CHOICES.length]);
    show();
    onChange();
  });
  system.addEventListener('change', onChange);
  show();
}

function chosen() {
  try {
    const choice = localStorage.getItem(KEY);
    return CHOICES.includes(choice) ? choice : CHOICES[0];
  } catch {
    return CHOICES[0]; // A browser that keeps nothing.
  }
}

function keep(choice) {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    document.documentElement.style.colorScheme = choice;
  }
}
