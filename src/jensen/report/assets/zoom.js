(function () {
  "use strict";
  // sheets of images open enlarged; without script they stay as they are
  var sheets = document.querySelectorAll(".sheet img");
  if (!sheets.length || typeof HTMLDialogElement === "undefined") return;
  var dialog = document.createElement("dialog"), large = document.createElement("img");
  dialog.className = "zoom";
  dialog.appendChild(large);
  document.body.appendChild(dialog);
  dialog.addEventListener("click", function () { dialog.close(); });
  sheets.forEach(function (image) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "zoomable";
    button.setAttribute("aria-label", "Enlarge: " + image.alt);
    image.parentNode.insertBefore(button, image);
    button.appendChild(image);
    button.addEventListener("click", function () {
      large.src = image.src;
      large.alt = image.alt;
      dialog.showModal();
    });
  });
})();
